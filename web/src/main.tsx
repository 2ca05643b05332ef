import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { SessionsPage } from './search/SessionsPage';
import { SensorsPage } from './sensors/SensorsPage';
import { ToastProvider } from './ui/toast';
import './styles/tokens.css';
import './styles/base.css';

const root = document.getElementById('root');
if (!root) throw new Error('index.html has no #root');
createRoot(root).render(
  <StrictMode>
    <ToastProvider>
      {/^\/sensors\/?$/.test(location.pathname) ? <SensorsPage /> : <SessionsPage />}
    </ToastProvider>
  </StrictMode>,
);
