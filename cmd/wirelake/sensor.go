package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"wirelake/internal/config"
	"wirelake/internal/dissect"
	"wirelake/internal/objstore"
	"wirelake/internal/systemd"
	"wirelake/internal/telemetry"
	"wirelake/sensor"
	"wirelake/sensor/capture"
	"wirelake/sensor/spool"
)

func newSensorCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sensor",
		Short: "Capture packets into the store",
		Long: `sensor captures from network interfaces, capture streams, pcap-over-IP peers and
VXLAN or GENEVE mirrors, and stores the packets as chunks.

Packets go to a spool on local disk first, and from there into the store. So a
store that is away costs nothing but disk, and a crash of the machine at most what
--sync says. The sensor may be killed at any time: the next start goes on.

One sensor at a time has a name; a second one is refused. SIGHUP reads the
configuration again and takes over filter and cut rules. SIGTERM ends capture, and
seals and uploads what is left within stop_timeout; the rest waits in the spool.

Receiving VXLAN, GENEVE and pcap-over-IP, rings, policies, cut rules, deduplication
and limits of uploads are settings of the configuration without a flag:
'wirelake config settings' lists them. See docs/sensor.md for operation, alerts and sizing.`,
		Example: `  wirelake sensor --interface eth0 --store s3://archive --spool /var/lib/wirelake/spool
  wirelake sensor --interface eth0 --interface eth1 --filter 'not port 9000' --workers 4
  ssh edge1 tcpdump -U -w - | wirelake sensor --name edge1 --read - --spool /tmp/edge1`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runSensor(cmd) },
	}
	d := a.cfg.Sensor
	f := cmd.Flags()
	f.String("name", d.Name, "name of the sensor in the store (default: the name of the host)")
	f.StringSlice("interface", nil, "network interface to capture from; may be given several times")
	f.String("filter", "", "packets to capture, in tcpdump's syntax (default: all)")
	f.Int("workers", d.Workers, "threads and lanes of an interface")
	f.StringSlice("read", nil, "capture stream to read: - for standard input, a named pipe or a file")
	f.StringSlice("connect", nil, "pcap-over-IP server to take packets from: tcp://host:port or tls://host:port")
	f.StringSlice("watch", nil, "folder or s3://bucket/prefix whose capture files are imported as they come")
	f.String("spool", d.Spool, "folder on local disk for packets on their way into the store")
	f.Var(&d.Quota, "quota", "bytes that the spool may take")
	f.Duration("sync", d.Sync, "packets of so long a time may be lost when the machine crashes")
	f.Var(&d.ChunkBytes, "chunk-bytes", "end a chunk at this size before compression")
	f.Duration("chunk-span", d.ChunkSpan, "end a chunk at this age")
	f.String("http-listen", d.HTTP, "address of /metrics, /healthz and /readyz")
	f.String("user", d.User, "user to become, with no privilege but to capture, before anything is opened (default: stay)")
	for flag, path := range map[string]string{
		"name": "name", "interface": "interfaces", "filter": "filter", "workers": "workers", "read": "read", "connect": "connect",
		"watch": "watch.sources", "spool": "spool", "quota": "quota", "sync": "sync", "chunk-bytes": "chunk_bytes", "chunk-span": "chunk_span",
		"http-listen": "http_listen", "user": "user",
	} {
		bindFlag(f, flag, "sensor."+path)
	}
	addRulesFlag(cmd)
	f.Lookup("rules").Usage = "YAML file whose rules with keep cut flows (default: none)"
	return cmd
}

func (a *app) runSensor(cmd *cobra.Command) error {
	ctx := cmd.Context()
	cfg, err := withKeepRules(a.cfg.Sensor, a.cfg.Rules.File)
	if err != nil {
		return err
	}
	if err := handOver(cfg); err != nil {
		return err
	}
	// Before all else: it starts the program anew.
	if err := capture.DropPrivileges(cfg.User, cfg.AFPacketConfig); err != nil {
		return err
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(int64(cfg.MemoryBytes()))
	}
	// Whether it answers is asked later: packets can wait for it.
	store, err := a.open(ctx, "sensor", objstore.Options{Unasked: true})
	if err != nil {
		return err
	}
	manager := systemd.FromEnvironment()
	sources, err := a.sensorSources(cfg, manager)
	if err != nil {
		return err
	}
	cfg.Name = cfg.SensorName()
	watcher, err := a.sensorWatcher(ctx, cfg, store)
	if err != nil {
		return err
	}
	if len(sources) == 0 && watcher == nil {
		return usageErrorf("nothing to capture from: give --interface, --read, --connect or --watch, or set them in the configuration")
	}
	opts := sensor.Options{Logger: a.log, Registerer: a.reg, Generator: "wirelake " + a.build.Version, Protocols: dissect.New()}
	opts.Capturing = func() { a.tellManager(ctx, manager.Ready) }
	if watcher != nil {
		opts.Others = watcher.States
	}
	if opts.Keys, err = a.storedKeys(cfg.StoreKeyLog); err != nil {
		return err
	}
	s, err := sensor.New(store, cfg, sources, opts)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	defer context.AfterFunc(ctx, func() { a.tellManager(ctx, manager.Stopping) })()
	side, stop := context.WithCancel(ctx)
	if cfg.HTTP != "" {
		if err := a.serveSensor(side, group, cfg.HTTP, s); err != nil {
			stop()
			return err
		}
	}
	if watcher != nil {
		group.Go(func() error { return watcher.Run(ctx) })
	}
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	group.Go(func() error { return a.reloadSensor(side, cmd, s, hup) })
	group.Go(func() error {
		defer stop()
		return s.Run(ctx)
	})
	return group.Wait()
}

// handOver makes the spool one that the user whom the sensor becomes can use.
func handOver(cfg sensor.Config) error {
	if cfg.User == "" || os.Geteuid() != 0 {
		return nil
	}
	u, err := capture.LookupUser(cfg.User)
	if err != nil {
		return err
	}
	return spool.HandOver(cfg.Spool, u.UID, u.GID)
}

// tellManager says something to the service manager, which does not need it to be right.
func (a *app) tellManager(ctx context.Context, say func() error) {
	if err := say(); err != nil {
		a.log.WarnContext(ctx, "the service manager was not told", "error", err)
	}
}

// sensorSources makes the sources of the settings, and opens the interfaces: what is
// wrong with them is told before anything else is begun. Packet sockets are those that
// the service manager kept.
func (a *app) sensorSources(cfg sensor.Config, manager *systemd.Manager) ([]capture.Source, error) {
	files, err := systemd.Files()
	if err != nil {
		return nil, err
	}
	keeper := capture.NewKeeper(manager, files, a.log)
	sources, err := cfg.Sources(a.stdin, a.log)
	if err != nil {
		return nil, err
	}
	leftover, err := keeper.Leftover(cfg.AFPacketConfig, a.log)
	if err != nil {
		return nil, err
	}
	sources = append(sources, leftover...)
	for _, name := range cfg.Interfaces {
		s, err := capture.NewAFPacket(name, cfg.AFPacketConfig, keeper, a.log)
		if err != nil {
			return nil, err
		}
		if err := s.Open(); err != nil {
			return nil, err
		}
		sources = append(sources, s)
	}
	return sources, nil
}

// sensorWatcher returns what imports capture files as they come, nil when nothing is watched.
func (a *app) sensorWatcher(ctx context.Context, cfg sensor.Config, store objstore.Store) (*sensor.Watcher, error) {
	if len(cfg.Watch.Sources) == 0 {
		return nil, nil //nolint:nilnil // nothing is watched
	}
	imports := a.cfg.Import
	imports.Sensor = cfg.Name
	keys, err := a.importKeys()
	if err != nil {
		return nil, err
	}
	im, err := sensor.NewImporter(store, imports, sensor.ImportOptions{Logger: a.log, Registerer: a.reg, Generator: "wirelake " + a.build.Version, Keys: keys})
	if err != nil {
		return nil, err
	}
	return sensor.NewWatcher(ctx, im, cfg.Watch, objstore.Options{Config: a.cfg.ObjectStore, Logger: a.log, Unasked: true})
}

// reloadSensor takes over filter and rules at each SIGHUP, until ctx ends.
func (a *app) reloadSensor(ctx context.Context, cmd *cobra.Command, s *sensor.Sensor, hup <-chan os.Signal) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-hup:
		}
		fresh := defaultSettings()
		_, err := config.Load(&fresh, a.configSource(cmd))
		if err == nil {
			fresh.Sensor, err = withKeepRules(fresh.Sensor, fresh.Rules.File)
		}
		if err == nil {
			err = s.Reload(fresh.Sensor)
		}
		if err != nil {
			a.log.ErrorContext(ctx, "configuration not reloaded", "error", err)
		}
	}
}

// serveSensor serves metrics and health until ctx ends.
func (a *app) serveSensor(ctx context.Context, group *errgroup.Group, address string, s *sensor.Sensor) error {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("http_listen %s: %w", address, err)
	}
	var health telemetry.Health
	health.AddCheck("sensor", s.Ready)
	mux := http.NewServeMux()
	telemetry.Handle(mux, a.reg, &health, a.log)
	server := &http.Server{
		Handler: mux, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(a.log.Handler(), slog.LevelWarn),
	}
	a.log.InfoContext(ctx, "serving metrics and health", "address", l.Addr().String())
	group.Go(func() error {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("http_listen %s: %w", address, err)
		}
		return nil
	})
	context.AfterFunc(ctx, func() {
		if err := server.Close(); err != nil && !errors.Is(err, io.EOF) {
			a.log.WarnContext(ctx, "metrics server not closed", "error", err)
		}
	})
	return nil
}
