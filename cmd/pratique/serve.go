package main

import (
	"context"
	"fmt"
	"os"

	"github.com/pratique/pratique/internal/app"
	"github.com/pratique/pratique/internal/config"
)

// serve is `pratique serve`.
type serve struct {
	config.Serve
}

// Run serves until ctx is done, then drains.
func (s *serve) Run(ctx context.Context) error {
	log := s.Logger(os.Stderr)
	for _, name := range config.UnknownEnvironment(os.Environ()) {
		log.Warn(name)
	}
	server, err := app.Open(ctx, s.Serve, app.Options{Version: version, Log: log})
	if err != nil {
		return err
	}
	if server.GeneratedPassword != "" {
		fmt.Printf("The first start made the user admin with the password %s\nIt is not shown again.\n", server.GeneratedPassword)
	}
	return server.Run(ctx)
}
