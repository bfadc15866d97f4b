package smtp_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pratique/pratique/internal/notify/smtp"
)

// server is a small SMTP server (RFC 5321) that offers STARTTLS where it has a
// certificate, and takes no mail for nobody@.
type server struct {
	tls *tls.Config

	mu    sync.Mutex
	mails []string
	auth  []string
}

func (s *server) serve(conn net.Conn) {
	defer conn.Close()
	r, secure := bufio.NewReader(conn), false
	say := func(text string) { fmt.Fprintf(conn, "%s\r\n", text) }
	say("220 mail.example ESMTP")
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimSpace(line)
		switch command := strings.ToUpper(line); {
		case strings.HasPrefix(command, "EHLO") && s.tls != nil && !secure:
			say("250-mail.example\r\n250 STARTTLS")
		case strings.HasPrefix(command, "EHLO"):
			say("250-mail.example\r\n250 AUTH PLAIN")
		case command == "STARTTLS":
			say("220 go ahead")
			conn = tls.Server(conn, s.tls)
			r, secure = bufio.NewReader(conn), true
		case strings.HasPrefix(command, "AUTH PLAIN"):
			s.mu.Lock()
			s.auth = append(s.auth, fmt.Sprintf("%s over TLS %v", line, secure))
			s.mu.Unlock()
			say("235 welcome")
		case strings.HasPrefix(command, "RCPT TO:<NOBODY"):
			say("550 there is no such user")
		case command == "DATA":
			say("354 go ahead")
			var b strings.Builder
			for {
				text, err := r.ReadString('\n')
				if err != nil {
					return
				}
				if text == ".\r\n" {
					break
				}
				b.WriteString(text)
			}
			s.mu.Lock()
			s.mails = append(s.mails, b.String())
			s.mu.Unlock()
			say("250 taken")
		case command == "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

func (s *server) start(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() { s.serve(conn) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		running.Wait()
	})
	return listener.Addr().String()
}

// certificate is one for 127.0.0.1, with a pool that trusts it.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mail"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

func TestSend(t *testing.T) {
	cert, pool := certificate(t)
	s := &server{tls: &tls.Config{Certificates: []tls.Certificate{cert}}}
	m, err := smtp.New("smtp://bot:pass%20word@"+s.start(t), "Pratique <pratique@example.com>", smtp.Options{TLS: &tls.Config{RootCAs: pool}})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Send(t.Context(), []string{"ada@example.com", "eve@example.com"}, "CVE-2021-44228 (critical)\r\nBcc: x@example.com", "Grüße\n.\nEnd\n"); err != nil {
		t.Fatal(err)
	}
	if len(s.auth) != 1 || !strings.HasSuffix(s.auth[0], "over TLS true") {
		t.Errorf("signed in: %q", s.auth)
	}
	if len(s.mails) != 2 {
		t.Fatalf("%d mails: %q", len(s.mails), s.mails)
	}
	head, body, _ := strings.Cut(s.mails[0], "\r\n\r\n")
	for _, want := range []string{`From: "Pratique" <pratique@example.com>`, "To: <ada@example.com>", "Auto-Submitted: auto-generated", "Message-ID: <", "Date: "} {
		if !strings.Contains(head, want) {
			t.Errorf("the head lacks %q:\n%s", want, head)
		}
	}
	if strings.Contains(head, "\r\nBcc:") || strings.Contains(head, "eve@") {
		t.Errorf("the head has more than it should:\n%s", head)
	}
	if !strings.Contains(body, "Gr=C3=BC=C3=9Fe") || !strings.Contains(body, "End") {
		t.Errorf("the body is:\n%s", body)
	}
}

func TestSendFails(t *testing.T) {
	plain := &server{}
	address := plain.start(t)
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	tests := []struct{ name, server, to, want string }{
		{"a password without TLS", "smtp://bot:secret@" + address, "ada@example.com", "STARTTLS"},
		{"no such user", "smtp://" + address, "nobody@example.com", "there is no such user"},
		{"a server that says nothing", "smtp://" + silent.Addr().String(), "ada@example.com", "timeout"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, err := smtp.New(tt.server, "pratique@example.com", smtp.Options{Timeout: 500 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			err = m.Send(context.Background(), []string{tt.to}, "x", "y")
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "secret") {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
	if len(plain.auth) > 0 {
		t.Errorf("a password was sent in the clear: %q", plain.auth)
	}
}

func TestNewRefuses(t *testing.T) {
	for _, tt := range []struct{ server, from, want string }{
		{"mail.example.com", "a@b.example", "must be smtp://"},
		{"http://mail.example.com", "a@b.example", "must start with"},
		{"smtp://mail.example.com/x", "a@b.example", "must be smtp://"},
		{"smtp://mail.example.com:99999", "a@b.example", "port"},
		{"smtp://mail.example.com", "me", "no e-mail address"},
	} {
		if _, err := smtp.New(tt.server, tt.from, smtp.Options{}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s, %s: got %v, want %q", tt.server, tt.from, err, tt.want)
		}
	}
}
