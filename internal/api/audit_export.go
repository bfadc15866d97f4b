package api

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"io"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pratique/pratique/internal/assess/exchange"
	"github.com/pratique/pratique/internal/audit"
)

func (a *API) exportAuditLog(_ context.Context, in *struct {
	AuditFilter
	Format string `query:"format" enum:"csv,jsonl" default:"csv" doc:"CSV with a header, or an object of JSON a line, as the list has them."`
}) (*huma.StreamResponse, error) {
	if in.Format == "jsonl" {
		return attachment(linesType, "audit-log.jsonl", func(ctx context.Context, out io.Writer) error {
			lines := json.NewEncoder(out)
			return a.eachChange(ctx, in.AuditFilter, func(e audit.Entry) error { return lines.Encode(showAuditEntry(e)) })
		}), nil
	}
	return attachment(csvType+"; charset=utf-8; header=present", "audit-log.csv", func(ctx context.Context, out io.Writer) error {
		w := csv.NewWriter(out)
		if err := w.Write([]string{"id", "at", "actor", "action", "object", "detail"}); err != nil {
			return err
		}
		if err := a.eachChange(ctx, in.AuditFilter, func(e audit.Entry) error {
			return w.Write([]string{strconv.FormatInt(e.ID, 10), e.At.UTC().Format(time.RFC3339Nano), exchange.Harmless(e.Actor), exchange.Harmless(e.Action),
				exchange.Harmless(e.Object), exchange.Harmless(string(e.Detail))})
		}); err != nil {
			return err
		}
		w.Flush()
		return w.Error()
	}), nil
}

// eachChange calls f with each entry that a filter lets through.
func (a *API) eachChange(ctx context.Context, filter AuditFilter, f func(audit.Entry) error) error {
	const batch = 1000
	for last := int64(0); ; {
		entries, err := a.Audit.AuditEntries(ctx, filter.filter(last, batch))
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := f(e); err != nil {
				return err
			}
			last = e.ID
		}
		if len(entries) < batch {
			return nil
		}
	}
}
