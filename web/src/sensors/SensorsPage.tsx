import { useEffect } from 'react';
import { countOf } from '../format';
import { Icon, Logo } from '../ui/Icon';
import { Notices } from '../ui/Notices';
import { ThemeToggle } from '../ui/ThemeToggle';
import { SensorCard } from './SensorCard';
import { CONDITIONS, inOrder, type Sensor } from './sensors';
import { useSensors } from './useSensors';
import '../search/page.css';
import './sensors.css';

/** How each sensor is, as it said itself: what it takes in, what it loses, what it has not sent yet. */
export function SensorsPage() {
  const [{ answer, history, error }, again] = useSensors();
  const sensors = inOrder(answer?.sensors ?? []);
  const losing = sensors.filter((s) => s.condition === 'losing').length;
  useEffect(() => {
    document.title = losing > 0 ? `${countOf(losing, 'sensor')} losing packets · wirelake` : 'Sensors · wirelake';
  }, [losing]);
  return (
    <div className="page">
      <header className="top sensors-top">
        <a className="brand" href="/sessions" aria-label="wirelake, Sessions">
          <Logo size={26} />
          <span className="wordmark">wirelake</span>
        </a>
        <nav className="sensors-nav" aria-label="Pages">
          <a className="button bare" href="/sessions">Sessions</a>
          <a className="button bare" href="/sensors" aria-current="page">Sensors</a>
        </nav>
        <ThemeToggle />
      </header>
      <Notices texts={[...(error && answer ? [`What is shown is of before: ${error.message}`] : []), ...(answer?.warnings ?? [])]} />
      <main className="sensors">
        {answer ? (
          <>
            <h1 className="visually-hidden">Sensors</h1>
            {sensors.length > 0 && <Summary sensors={sensors} />}
            <div className="sensor-cards">
              {sensors.map((s) => (
                <SensorCard key={s.name} sensor={s} samples={history.get(s.name)?.samples ?? []} now={answer.now} />
              ))}
            </div>
            {sensors.length === 0 && <NoSensors />}
          </>
        ) : error ? (
          <div className="empty" role="alert">
            <h2>{error.status === 503 ? 'The archive cannot be reached' : 'The sensors cannot be told'}</h2>
            <p className="failure">{error.message}</p>
            <button type="button" className="button" onClick={again}>Try again</button>
          </div>
        ) : (
          <p className="sensors-wait" aria-busy="true">Asking for the sensors…</p>
        )}
      </main>
    </div>
  );
}

/** How many there are, and how many of each state. */
function Summary({ sensors }: { sensors: readonly Sensor[] }) {
  return (
    <p className="sensors-summary">
      <b className="num">{countOf(sensors.length, 'sensor')}</b>
      {CONDITIONS.map((c) => [c, sensors.filter((s) => s.condition === c).length] as const)
        .filter(([, n]) => n > 0)
        .map(([c, n]) => (
          <span key={c} className={`state ${c}`}>
            <span className="num">{n}</span> {c}
          </span>
        ))}
    </p>
  );
}

function NoSensors() {
  return (
    <div className="empty">
      <Icon name="sensor" size={28} />
      <h2>No sensor has written to this archive</h2>
      <p>Start one where the packets are: <code>wirelake sensor --store … --interface eth0</code></p>
    </div>
  );
}
