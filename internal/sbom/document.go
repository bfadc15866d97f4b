package sbom

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/pratique/pratique/internal/inventory"
)

// maxNesting bounds envelopes: a Sigstore bundle holds a DSSE envelope, that a
// statement, and that a bill.
const maxNesting = 4

// document reads an object whose members tell what it is.
func (r *reader) document(d *decoder, nesting int) error {
	if nesting > maxNesting {
		return d.fail(errors.New("there are too many envelopes"))
	}
	if err := r.members(d, nesting); err != nil {
		return err
	}
	if nesting > 0 && d.depth > 0 {
		return nil // a part of another document
	}
	return d.end()
}

func (r *reader) members(d *decoder, nesting int) error {
	return d.object(func(name string) error {
		switch name {
		case "bomFormat":
			return d.text(&r.bomFormat)
		case "specVersion":
			return d.text(&r.specVersion)
		case "metadata":
			return r.metadata(d)
		case "components":
			return r.cycloneDXComponents(d)

		case "spdxVersion":
			return d.text(&r.spdxVersion)
		case "packages":
			return r.spdxPackages(d)
		case "documentDescribes":
			return d.list(func() error { return r.describes(d) })
		case "relationships":
			return r.spdxRelationships(d)

		case "schema":
			return member(d, map[string]*string{"version": &r.syft.version, "url": &r.syft.url})
		case "descriptor":
			return member(d, map[string]*string{"name": &r.syft.name})
		case "distro":
			return r.syftDistribution(d)
		case "artifacts":
			r.artifacts = true
			return r.syftArtifacts(d)

		// The in-toto attestation framework's statement, the DSSE envelope around
		// it, and Sigstore's bundle around that.
		case "predicateType":
			return d.text(&r.predicate)
		case "predicate", "dsseEnvelope":
			return r.document(d, nesting+1)
		case "payload":
			return r.payload(d, nesting)
		}
		return d.skip()
	})
}

// member reads those members of an object that are texts; of other values
// nothing is read.
func member(d *decoder, into map[string]*string) error {
	token, err := d.token()
	if err != nil {
		return err
	}
	if token != json.Delim('{') {
		return d.rest(token)
	}
	for d.json.More() {
		name, err := d.token()
		if err != nil {
			return err
		}
		if text := into[name.(string)]; text != nil {
			err = d.text(text)
		} else {
			err = d.skip()
		}
		if err != nil {
			return err
		}
	}
	_, err = d.token()
	return err
}

func (r *reader) payload(d *decoder, nesting int) error {
	var text string
	if err := d.text(&text); err != nil {
		return err
	}
	content := base64.NewDecoder(base64.StdEncoding, strings.NewReader(text))
	err := r.document(newDecoder(content, r.limits), nesting+1)
	if err != nil && !errors.Is(err, ErrFormat) {
		err = fmt.Errorf("%w: payload: %w", ErrFormat, err) // it is in memory: no reader can be to blame
	}
	return err
}

// format says what was read.
func (r *reader) format() (string, error) {
	syft := r.artifacts && (r.syft.name == "syft" || strings.Contains(r.syft.url, "anchore/syft"))
	var formats []string
	if r.bomFormat != "" || r.specVersion != "" {
		formats = append(formats, "CycloneDX")
	}
	if r.spdxVersion != "" {
		formats = append(formats, "SPDX")
	}
	if syft {
		formats = append(formats, "Syft")
	}
	switch {
	case len(formats) > 1:
		return "", fmt.Errorf("%w: it says that it is %s", ErrFormat, strings.Join(formats, " and "))
	case r.predicate != "" && len(formats) == 0:
		return "", fmt.Errorf("%w: the statement's predicate is %q", ErrFormat, clip(r.predicate))
	case len(formats) == 0:
		return "", fmt.Errorf("%w: it is neither CycloneDX, SPDX 2 nor Syft's JSON", ErrFormat)
	case r.bomFormat != "" && r.bomFormat != "CycloneDX":
		return "", fmt.Errorf("%w: its bomFormat is %q", ErrFormat, clip(r.bomFormat))
	}
	switch formats[0] {
	case "CycloneDX":
		minor, ok := minorOf(r.specVersion, "1.")
		if !ok || minor < 2 {
			return "", fmt.Errorf("%w: CycloneDX %q", ErrFormat, clip(r.specVersion))
		}
		if minor > 7 {
			r.warn(inventory.Unsupported, "CycloneDX 1.%d may say more than is read", minor)
		}
		return "CycloneDX " + r.specVersion, nil
	case "SPDX":
		minor, ok := minorOf(r.spdxVersion, "SPDX-2.")
		if !ok {
			return "", fmt.Errorf("%w: %q", ErrFormat, clip(r.spdxVersion))
		}
		if minor > 3 {
			r.warn(inventory.Unsupported, "SPDX 2.%d may say more than is read", minor)
		}
		return "SPDX " + strings.TrimPrefix(r.spdxVersion, "SPDX-"), nil
	}
	major, _, _ := strings.Cut(r.syft.version, ".")
	if n, err := strconv.Atoi(major); err != nil || n < 1 {
		return "", fmt.Errorf("%w: Syft's schema %q", ErrFormat, clip(r.syft.version))
	} else if n < 13 || n > 16 {
		r.warn(inventory.Unsupported, "Syft's schema %s may say more than is read", clip(r.syft.version))
	}
	return "Syft " + r.syft.version, nil
}

func minorOf(version, major string) (int, bool) {
	text, ok := strings.CutPrefix(version, major)
	if !ok || len(text) > 3 || strings.Trim(text, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.Atoi(text)
	return n, err == nil
}
