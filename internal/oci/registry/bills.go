package registry

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/pratique/pratique/internal/blob"
)

// Bill says that a manifest holds software bills of materials of another.
type Bill struct {
	// Subject is the digest of the manifest that the bills are of.
	Subject string
	// Manifest is the digest of the one that holds them, "" for the manifest that
	// says so.
	Manifest string
}

// Attachment is a bill that is attached to an image, or ought to be.
type Attachment struct {
	// Subject is the image's digest; with MediaType and Size its descriptor.
	Subject   string
	MediaType string
	Size      int64
	// Repository is where: the image and its bill are in the same one.
	Repository Repository
	// Format is what the registry asks for.
	Format BillFormat
	// InventoryID names the inventory that the bill lists.
	InventoryID int64
}

// ErrStale says that what was worked on has changed meanwhile.
var ErrStale = errors.New("it has changed meanwhile")

// AnnotationAttached marks the bills that this program makes and attaches: read
// again they would say nothing new. Its value is their format.
const AnnotationAttached = "org.pratique.sbom"

// The media types of bills, and of envelopes that may hold one.
var (
	billTypes     = []string{"application/vnd.cyclonedx+json", "application/spdx+json", "text/spdx+json", "application/vnd.syft+json"}
	envelopeTypes = []string{"application/vnd.in-toto+json", "application/vnd.dsse.envelope.v1+json"}
	bundlePrefix  = "application/vnd.dev.sigstore.bundle."
)

const emptyType = "application/vnd.oci.empty.v1+json"

// predicates are the starts of the types of in-toto's predicates that are bills
// (https://github.com/in-toto/attestation/tree/main/spec/predicates).
var predicates = []string{"https://spdx.dev/Document", "https://cyclonedx.org/bom", "cosign.sigstore.dev/attestation/syft"}

// predicateKeys are the annotations that tell an envelope's predicate: those of
// BuildKit, cosign and Sigstore's bundles.
var predicateKeys = []string{"in-toto.io/predicate-type", "predicateType", "dev.sigstore.bundle.predicateType"}

// bill reads a media type with or without parameters.
func bill(mediaType string) bool {
	mediaType, _, _ = strings.Cut(mediaType, ";")
	return slices.Contains(billTypes, strings.TrimSpace(mediaType))
}

func envelope(mediaType string) bool {
	return slices.Contains(envelopeTypes, mediaType) || strings.HasPrefix(mediaType, bundlePrefix)
}

func billPredicate(annotations map[string]string) bool {
	for _, key := range predicateKeys {
		for _, predicate := range predicates {
			if strings.HasPrefix(annotations[key], predicate) {
				return true
			}
		}
	}
	return false
}

// Documents lists the blobs of a manifest that are software bills of materials,
// or statements that hold one, by what the manifest says of them. The content
// is one that Parse accepted.
func Documents(content []byte) ([]Reference, error) {
	f, err := object(content)
	if err != nil {
		return nil, err
	}
	return documents(f)
}

func documents(f fields) (found []Reference, err error) {
	artifactType, _, err := field[string](f, "artifactType", "a string")
	if err != nil {
		return nil, err
	}
	annotations, _, err := field[map[string]string](f, "annotations", "an object of strings")
	if err != nil {
		return nil, err
	}
	layers, _, err := field[[]json.RawMessage](f, "layers", "a list of descriptors")
	if err != nil {
		return nil, err
	}
	take := func(raw json.RawMessage, kind Kind, is func(r Reference, annotations map[string]string) bool) error {
		r, err := descriptor(raw)
		if err != nil {
			return err
		}
		var own struct {
			Annotations map[string]string `json:"annotations"`
		}
		if err := json.Unmarshal(raw, &own); err != nil {
			return err
		}
		if r.MediaType != emptyType && is(r, own.Annotations) {
			r.Kind = kind
			found = append(found, r)
		}
		return nil
	}
	for _, raw := range layers {
		err := take(raw, KindLayer, func(r Reference, own map[string]string) bool {
			return bill(artifactType) || bill(r.MediaType) ||
				(envelope(r.MediaType) || envelope(artifactType)) && (billPredicate(own) || billPredicate(annotations))
		})
		if err != nil {
			return nil, err
		}
	}
	if raw, ok := f["config"]; ok && len(found) == 0 {
		if err := take(raw, KindConfig, func(r Reference, _ map[string]string) bool { return bill(r.MediaType) }); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// readBills says of which manifests this one holds bills.
func (m *Manifest) readBills(f fields) error {
	if _, ours := m.Annotations[AnnotationAttached]; ours || m.Subject == "" {
		return nil
	}
	found, err := documents(f)
	if err == nil && len(found) > 0 {
		m.Bills = []Bill{{Subject: m.Subject}}
	}
	return err
}

// readAttestations says what BuildKit's indexes state of their entries: which of
// them is a list of statements on another
// (https://github.com/moby/buildkit/blob/master/docs/attestations/attestation-storage.md).
func (m *Manifest) readAttestations(f fields) error {
	list, _, err := field[[]json.RawMessage](f, "manifests", "a list of descriptors")
	if err != nil {
		return err
	}
	known := make(map[Bill]bool)
	for _, raw := range list {
		var entry struct {
			Digest      string            `json:"digest"`
			Annotations map[string]string `json:"annotations"`
		}
		if err := json.Unmarshal(raw, &entry); err != nil {
			return errors.New("manifests: want a list of descriptors")
		}
		subject := entry.Annotations["vnd.docker.reference.digest"]
		if entry.Annotations["vnd.docker.reference.type"] != "attestation-manifest" || subject == entry.Digest {
			continue
		}
		if _, _, err := blob.ParseDigest(subject); err != nil {
			continue // what it is of is for people
		}
		if b := (Bill{Subject: subject, Manifest: entry.Digest}); !known[b] {
			known[b] = true
			m.Bills = append(m.Bills, b)
		}
	}
	return nil
}
