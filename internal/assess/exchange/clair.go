package exchange

import (
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/pratique/pratique/internal/assess"
)

// readClair reads a whitelist of clair-scanner
// (https://github.com/arminc/clair-scanner#example-whitelist-yaml-file): what is
// approved in all images, and in some, each with a word on what it is.
func readClair(root *yaml.Node, opts Options) ([]assess.ImportLine, error) {
	var lines []assess.ImportLine
	known := false
	for _, m := range members(root) {
		switch m.key {
		case "generalwhitelist":
			known = true
			approved, err := clairApproved(m, assess.Scope{Kind: assess.Everywhere}, nil)
			if err != nil {
				return nil, err
			}
			lines = append(lines, approved...)
		case "images":
			known = true
			if m.value.Kind != yaml.MappingNode {
				if m.value.Tag == "!!null" {
					continue
				}
				return nil, fmt.Errorf("line %d: images is not a mapping", m.line)
			}
			for _, image := range members(m.value) {
				scope, problem := clairImage(image.key, opts.Registry)
				approved, err := clairApproved(image, scope, problem)
				if err != nil {
					return nil, err
				}
				lines = append(lines, approved...)
			}
		default:
			return nil, fmt.Errorf("line %d: %q is not known", m.line, clip(m.key))
		}
	}
	if !known {
		return nil, errors.New("it has neither generalwhitelist nor images")
	}
	return lines, nil
}

func clairApproved(m member, scope assess.Scope, problem error) ([]assess.ImportLine, error) {
	if m.value.Kind == yaml.ScalarNode && m.value.Tag == "!!null" {
		return nil, nil
	}
	if m.value.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("line %d: %s is not a mapping of vulnerabilities", m.line, clip(m.key))
	}
	var lines []assess.ImportLine
	for _, v := range members(m.value) {
		line := assess.ImportLine{Number: v.line, Text: v.key + ": " + v.value.Value, Request: assess.Request{Vulnerability: v.key, Scope: scope}}
		comment, err := v.text()
		if err == nil {
			err = problem
		}
		if err != nil {
			line.Problem = err.Error()
		}
		line.Request.Comment = comment
		lines = append(lines, line)
	}
	return lines, nil
}

// clairImage is the repository that an image's name stands for: that in the
// registry, or the one that the name itself tells as docker does.
func clairImage(name, registry string) (assess.Scope, error) {
	repository, _, _ := strings.Cut(name, "@")
	if at := strings.LastIndexByte(repository, ':'); at > strings.LastIndexByte(repository, '/') {
		repository = repository[:at]
	}
	if host, rest, ok := strings.Cut(repository, "/"); ok && strings.ContainsAny(host, ".:") {
		repository = rest // a host
		if registry != "" {
			repository = strings.TrimPrefix(repository, registry+"/")
		}
	}
	if registry != "" {
		repository = registry + "/" + repository
	}
	if first, rest, ok := strings.Cut(repository, "/"); !ok || first == "" || rest == "" {
		return assess.Scope{}, fmt.Errorf("image %q: say in which registry it is", clip(name))
	}
	return assess.Scope{Kind: assess.Repository, Value: repository}, nil
}
