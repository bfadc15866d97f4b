package store

import (
	"context"
	"fmt"
)

// Size is how many bytes the database takes on its disk.
func (s *Store) Size(ctx context.Context) (size int64, err error) {
	query := `select pages.page_count * sizes.page_size from pragma_page_count() pages, pragma_page_size() sizes`
	if s.engine == Postgres {
		query = `select pg_database_size(current_database())`
	}
	if err := s.read.QueryRowContext(ctx, query).Scan(&size); err != nil {
		return 0, fmt.Errorf("size of the database: %w", err)
	}
	return size, nil
}
