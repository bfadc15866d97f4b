package api

import "context"

// Layer is a layer of an image.
type Layer struct {
	Index        int    `json:"index" doc:"From 0, the base."`
	Digest       string `json:"digest"`
	Size         int64  `json:"size" doc:"Compressed, in bytes."`
	MediaType    string `json:"media_type"`
	CreatedBy    string `json:"created_by,omitempty" doc:"The instruction that made it."`
	Foreign      bool   `json:"foreign" doc:"It is stored elsewhere."`
	PackageCount int    `json:"package_count" doc:"The packages of the image that it introduced."`
	FindingCount int    `json:"finding_count" doc:"The findings on those packages."`
}

func (a *API) imageLayers(ctx context.Context, in *ImagePath) (*listed[Layer], error) {
	img, err := a.anImage(ctx, string(in.Digest))
	if err != nil {
		return nil, err
	}
	packages, err := a.Images.ImagePackages(ctx, img.Digest)
	if err != nil {
		return nil, err
	}
	findings, _, err := a.Judge.Judge(ctx, img.Digest, nil)
	if err != nil {
		return nil, err
	}
	layers := make([]Layer, len(img.Layers))
	for i, l := range img.Layers {
		layers[i] = Layer{Index: i, Digest: l.Digest, Size: l.Size, MediaType: l.MediaType, CreatedBy: l.CreatedBy, Foreign: l.Foreign}
	}
	for _, p := range packages {
		if p.LayerIndex < len(layers) {
			layers[p.LayerIndex].PackageCount++
		}
	}
	for _, f := range findings {
		if f.LayerIndex < len(layers) {
			layers[f.LayerIndex].FindingCount++
		}
	}
	return &listed[Layer]{List[Layer]{Items: layers}}, nil
}
