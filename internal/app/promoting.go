package app

import (
	"context"
	"encoding/json"

	"github.com/pratique/pratique/internal/notify"
	"github.com/pratique/pratique/internal/promote"
)

// promotions tells people of what is promoted.
type promotions struct {
	*promote.Service
	app *App
}

// Promote promotes an image.
func (p promotions) Promote(ctx context.Context, r promote.Request) (promote.Promotion, error) {
	done, err := p.Service.Promote(ctx, r)
	if err != nil {
		return done, err
	}
	if err := p.app.tellOfPromotion(context.WithoutCancel(ctx), done); err != nil {
		p.app.log.ErrorContext(ctx, "nobody was told of a promotion", "image", done.Digest, "error", err)
	}
	return done, nil
}

// Promotions lists promotions, the newest first.
func (p promotions) Promotions(ctx context.Context, f promote.Filter, before int64, limit int) ([]promote.Promotion, error) {
	return p.app.store.Promotions(ctx, f, before, limit)
}

func (a *App) tellOfPromotion(ctx context.Context, p promote.Promotion) error {
	if wanted, err := a.notify.Wanted(ctx, notify.ImagePromoted); err != nil || !wanted {
		return err
	}
	data, err := json.Marshal(map[string]string{"digest": p.Digest, "from": p.From.String(), "to": p.To.String(), "by": p.By, "comment": p.Comment})
	if err != nil {
		return err
	}
	return a.notify.Emit(ctx, notify.Event{Type: notify.ImagePromoted, Path: "/images/" + p.Digest, Registries: []string{p.To.Registry}, Text: p.Comment,
		Title: p.From.String() + " was promoted to " + p.To.String() + " by " + p.By, Data: data})
}
