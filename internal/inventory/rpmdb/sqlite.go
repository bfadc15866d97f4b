package rpmdb

import (
	"fmt"

	"github.com/pratique/pratique/internal/inventory/sqlitefile"
)

// sqlite reads the table Packages (hnum integer primary key, blob blob), nothing
// else of the database.
func (d *database) sqlite() error {
	file, err := sqlitefile.Open(d.r, d.size)
	if err != nil {
		return err
	}
	if table := file.Table("Packages"); table != nil {
		err = table.Rows(func(row sqlitefile.Row) error {
			blob := row.Value(1).Bytes()
			if blob == nil {
				d.problem(fmt.Sprintf("row %d", row.ID), "it is no row of packages")
				return nil
			}
			return d.header(fmt.Sprintf("row %d", row.ID), int(row.ID), blob)
		})
	} else {
		d.problem("schema", "there is no table of packages")
	}
	for _, p := range file.Problems() {
		d.problem(p.Where, "%s", p.What)
	}
	return err
}
