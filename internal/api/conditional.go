package api

// Conditional makes a change depend on what the client saw.
type Conditional struct {
	IfMatch string `header:"If-Match" maxLength:"100" doc:"The ETag of what the change is to be made on; 412 where that changed. Absent or *: whatever it is."`
}

// version is the one that the client saw; 0 where it does not say.
func (c Conditional) version() (int64, error) { return ifMatch(c.IfMatch) }
