package query

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Limits of a connection.
const (
	readHeaderTimeout = 10 * time.Second
	readTimeout       = time.Minute // of a whole request: bodies are small
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 2 << 20 // expressions come in URLs too
	shutdownTimeout   = 10 * time.Second
)

// Serve listens on the configured address and serves h until ctx ends; requests under way then get some seconds
// to end. Listening is told the address, whose port may have been given as 0.
func Serve(ctx context.Context, cfg Config, h http.Handler, log *slog.Logger, listening func(net.Addr)) error {
	if err := checkListen(cfg.Listen); err != nil {
		return err
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", cfg.Listen)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", cfg.Listen, err)
	}
	if listening != nil {
		listening(l.Addr())
	}
	return serve(ctx, l, h, log)
}

func serve(ctx context.Context, l net.Listener, h http.Handler, log *slog.Logger) error {
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		BaseContext:       func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	if log != nil {
		server.ErrorLog = slog.NewLogLogger(log.Handler(), slog.LevelWarn)
	}
	stopped := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
		defer cancel()
		err := server.Shutdown(grace)
		if errors.Is(err, context.DeadlineExceeded) {
			err = server.Close() // exports to slow readers
		}
		stopped <- err
	})
	err := server.Serve(l)
	if stop() { // it ended by itself
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	}
	return <-stopped
}
