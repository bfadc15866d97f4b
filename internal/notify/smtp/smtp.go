// Package smtp sends text by e-mail through one server.
package smtp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/wneessen/go-mail"
)

// Options are the choices of a Mailer. The zero value is usable.
type Options struct {
	// Timeout bounds one mail; 30 s where zero.
	Timeout time.Duration
	// TLS holds certificate authorities and the like; nil is the system's.
	TLS *tls.Config
}

// Mailer sends through a server.
type Mailer struct {
	host    string
	from    string
	tls     bool // from the start
	options []mail.Option
	timeout time.Duration
}

// New returns a mailer for a server, smtp://[USER:PASSWORD@]HOST[:PORT] with
// STARTTLS (wanted where there is a password, used where offered else), or
// smtps:// for TLS from the start. The ports are 587 and 465 where none is named.
func New(server, from string, opts Options) (*Mailer, error) {
	u, err := url.Parse(server)
	if err != nil || u.Hostname() == "" || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("the mail server must be smtp://USER:PASSWORD@HOST:PORT or smtps://…")
	}
	if err := mail.NewMsg().From(from); err != nil {
		return nil, fmt.Errorf("the sender %q is no e-mail address", from)
	}
	if opts.Timeout == 0 {
		opts.Timeout = 30 * time.Second
	}
	m := &Mailer{host: u.Hostname(), from: from, timeout: opts.Timeout}
	port := 587
	switch u.Scheme {
	case "smtp":
		policy := mail.TLSOpportunistic
		if u.User != nil {
			policy = mail.TLSMandatory
		}
		m.options = append(m.options, mail.WithTLSPolicy(policy))
	case "smtps":
		port, m.tls = 465, true
		m.options = append(m.options, mail.WithSSL())
	default:
		return nil, fmt.Errorf("the mail server must start with smtp:// or smtps://, not %s://", u.Scheme)
	}
	if text := u.Port(); text != "" {
		if port, err = strconv.Atoi(text); err != nil || port < 1 || port > 65535 {
			return nil, fmt.Errorf("the port %s of the mail server is none", text)
		}
	}
	m.options = append(m.options, mail.WithPort(port), mail.WithTimeout(opts.Timeout))
	if opts.TLS != nil {
		own := opts.TLS.Clone()
		own.ServerName = m.host
		m.options = append(m.options, mail.WithTLSConfig(own))
	}
	if u.User != nil {
		password, _ := u.User.Password()
		m.options = append(m.options, mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover), mail.WithUsername(u.User.Username()), mail.WithPassword(password))
	}
	return m, nil
}

// Send sends one mail to each of the addresses, which do not see one another.
func (m *Mailer) Send(ctx context.Context, to []string, subject, text string) error {
	messages := make([]*mail.Msg, len(to))
	for i, address := range to {
		message := mail.NewMsg()
		if err := errors.Join(message.From(m.from), message.To(address)); err != nil {
			return err
		}
		message.Subject(subject)
		message.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no answers from absent people
		message.SetDate()
		message.SetMessageID()
		message.SetBodyString(mail.TypeTextPlain, text)
		messages[i] = message
	}
	// The library leaves a connection open on which something went wrong.
	var conn net.Conn
	defer func() {
		if conn != nil {
			conn.Close()
		}
	}()
	options := m.options
	if !m.tls {
		options = append(slices.Clone(options), mail.WithDialContextFunc(func(ctx context.Context, network, address string) (_ net.Conn, err error) {
			conn, err = (&net.Dialer{}).DialContext(ctx, network, address)
			return conn, err
		}))
	}
	client, err := mail.NewClient(m.host, options...)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, m.timeout)
	defer cancel()
	if err := client.DialAndSendWithContext(ctx, messages...); err != nil {
		return fmt.Errorf("mail server %s: %w", m.host, err)
	}
	return nil
}
