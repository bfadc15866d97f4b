package api

import (
	"bytes"
	"context"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pratique/pratique/internal/image"
	"github.com/pratique/pratique/internal/sbom"
)

type sbomDocument struct {
	ContentType string `header:"Content-Type"`
	Disposition string `header:"Content-Disposition"`
	Body        []byte
}

// describeSBOM says what the operation answers: huma takes bytes for text in JSON.
func (a *API) describeSBOM() {
	document := &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeObject}}
	a.huma.OpenAPI().Paths["/images/{digest}/sbom"].Get.Responses["200"].Content = map[string]*huma.MediaType{
		sbom.CycloneDXType: document, sbom.SPDXType: document,
	}
}

// imageSBOM serves the inventory of an image as other programs read it.
func (a *API) imageSBOM(ctx context.Context, in *struct {
	ImagePath
	Format string `query:"format" enum:"cyclonedx,spdx" default:"cyclonedx" doc:"CycloneDX 1.6 or SPDX 2.3, as JSON."`
}) (*sbomDocument, error) {
	img, err := a.anImage(ctx, string(in.Digest))
	if err != nil {
		return nil, err
	}
	if img.State == image.Pending {
		return nil, huma.Error409Conflict("the image is not analysed yet")
	}
	packages, err := a.Images.ImagePackages(ctx, img.Digest)
	if err != nil {
		return nil, err
	}
	places, err := a.locations(ctx, img.Digest)
	if err != nil {
		return nil, err
	}
	subject := sbom.Subject{
		Digest: img.Digest, Name: img.Digest, Architecture: img.Architecture, Layers: img.LayerDigests(), Distribution: img.Distribution,
		Packages: packages, Warnings: img.Warnings, Created: img.AnalysedAt, Version: a.version,
	}
	if len(places) > 0 {
		subject.Name = places[0].Registry + "/" + places[0].Repository
	}
	_, hex, _ := strings.Cut(img.Digest, ":")
	write, kind, extension := sbom.CycloneDX, sbom.CycloneDXType, ".cdx.json"
	if in.Format == "spdx" {
		write, kind, extension = sbom.SPDX, sbom.SPDXType, ".spdx.json"
	}
	var out bytes.Buffer
	if err := write(&out, subject); err != nil {
		return nil, err
	}
	return &sbomDocument{ContentType: kind, Disposition: `attachment; filename="` + hex[:min(12, len(hex))] + extension + `"`, Body: out.Bytes()}, nil
}
