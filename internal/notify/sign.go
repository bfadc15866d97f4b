package notify

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const secretPrefix = "whsec_"

// signingKey reads a secret: whsec_ with base64 of 24 to 64 bytes, as the
// specification has it, or any text of that length.
func signingKey(secret []byte) ([]byte, error) {
	key := secret
	if text, found := strings.CutPrefix(string(secret), secretPrefix); found {
		decoded, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, errors.New("what follows whsec_ is not base64")
		}
		key = decoded
	}
	if len(key) < 24 || len(key) > 64 {
		return nil, errors.New("must be from 24 to 64 bytes")
	}
	return key, nil
}

// sign sets the headers of
// https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md.
// The id is the event's, so that who gets it twice can tell.
func sign(header http.Header, secret []byte, id string, at time.Time, body []byte) error {
	timestamp := strconv.FormatInt(at.Unix(), 10)
	header.Set("Webhook-Id", id)
	header.Set("Webhook-Timestamp", timestamp)
	if len(secret) == 0 {
		return nil
	}
	key, err := signingKey(secret)
	if err != nil {
		return fmt.Errorf("secret: %w", err)
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", id, timestamp, body)
	header.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	return nil
}
