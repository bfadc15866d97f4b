package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// listener is an HTTP server with its socket. It has no overall read or write
// time-out: layers are large, and the handlers bound their own bodies.
type listener struct {
	name   string
	socket net.Listener
	server *http.Server
}

// listen opens the socket, so that a port that is taken is told at start.
func listen(ctx context.Context, name, address string, handler http.Handler, log *slog.Logger) (*listener, error) {
	socket, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return &listener{name: name, socket: socket, server: &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 20 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(log.With("listener", name).Handler(), slog.LevelDebug),
	}}, nil
}

// serve answers requests until shutdown.
func (l *listener) serve() error {
	if err := l.server.Serve(l.socket); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("%s: %w", l.name, err)
	}
	return nil
}

// shutdown lets requests end until ctx is done, then cuts them off.
func (l *listener) shutdown(ctx context.Context) error {
	if err := l.server.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("%s: requests were cut off: %w", l.name, err), l.server.Close())
	}
	return nil
}
