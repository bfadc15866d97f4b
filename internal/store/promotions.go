package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/pratique/pratique/internal/promote"
)

const promotionColumns = `id, at, promoted_by, from_registry, from_repository, from_tag, to_registry, to_repository, to_tag, digest, manifests, comment`

func scanPromotion(rows *sql.Rows) (p promote.Promotion, err error) {
	var when sql.NullInt64
	err = rows.Scan(&p.ID, &when, &p.By, &p.From.Registry, &p.From.Repository, &p.From.Tag, &p.To.Registry, &p.To.Repository, &p.To.Tag, &p.Digest, &p.Manifests, &p.Comment)
	p.At = at(when)
	return p, err
}

// AddPromotion remembers a promotion, and returns it with its id and time.
func (s *Store) AddPromotion(ctx context.Context, p promote.Promotion) (promote.Promotion, error) {
	err := s.tx(ctx, func(tx *sql.Tx) error {
		now := micros(s.now())
		p.At = at(sql.NullInt64{Int64: now, Valid: true})
		return tx.QueryRowContext(ctx, `insert into promotions (at, promoted_by, from_registry, from_repository, from_tag, to_registry, to_repository, to_tag, digest, manifests, comment)
			values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) returning id`,
			now, p.By, p.From.Registry, p.From.Repository, p.From.Tag, p.To.Registry, p.To.Repository, p.To.Tag, p.Digest, p.Manifests, p.Comment).Scan(&p.ID)
	})
	if err != nil {
		return promote.Promotion{}, fmt.Errorf("remember promotion of %s: %w", p.Digest, err)
	}
	return p, nil
}

// Promotions lists at most limit promotions, the newest first, from the one before
// the id before on where that is not 0.
func (s *Store) Promotions(ctx context.Context, f promote.Filter, before int64, limit int) ([]promote.Promotion, error) {
	var where conditions
	if f.Digest != "" {
		where.add(`digest = ?`, f.Digest)
	}
	if f.Registry != "" {
		where.add(`(to_registry = ? or from_registry = ?)`, f.Registry, f.Registry)
	}
	if f.Readable != nil {
		if len(f.Readable) == 0 {
			return nil, nil
		}
		marks := `?` + strings.Repeat(`, ?`, len(f.Readable)-1)
		where.add(`to_registry in (`+marks+`)`, anys(f.Readable)...)
		where.add(`from_registry in (`+marks+`)`, anys(f.Readable)...)
	}
	if before > 0 {
		where.add(`id < ?`, before)
	}
	list, err := queryAll(ctx, s.read, scanPromotion, `select `+promotionColumns+` from promotions `+where.String()+` order by id desc limit `+fmt.Sprint(limit), where.args...)
	if err != nil {
		return nil, fmt.Errorf("list promotions: %w", err)
	}
	return list, nil
}
