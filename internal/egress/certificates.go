package egress

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"strings"
)

// CheckCertificates returns why a text is no list of certificates in PEM; an empty
// one is.
func CheckCertificates(text string) error {
	for rest := []byte(strings.TrimSpace(text)); len(rest) > 0; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return errors.New("must be certificates in PEM")
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil || block.Type != "CERTIFICATE" {
			return errors.New("holds something that is no certificate")
		}
	}
	return nil
}
