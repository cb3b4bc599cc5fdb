package kubernetes

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"sigs.k8s.io/yaml"
)

// Object has the fields that every object of the API has.
type Object struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name        string            `json:"name"`
		Namespace   string            `json:"namespace"`
		UID         string            `json:"uid"`
		Annotations map[string]string `json:"annotations"`
	} `json:"metadata"`

	Path string `json:"-"` // of the object at the API server
}

var boundary = regexp.MustCompile(`(?m)^---\s*$`)

// Apply sends each document of a manifest unchanged for server-side apply. As with
// kubectl, unknown and duplicate fields are refused.
func (a *API) Apply(ctx context.Context, manifest []byte) ([]Object, error) {
	var applied []Object
	for _, document := range boundary.Split(string(manifest), -1) {
		var o Object
		if err := yaml.Unmarshal([]byte(document), &o); err != nil {
			return applied, fmt.Errorf("kubernetes: manifest: %w", err)
		}
		if o.Kind == "" {
			continue // only comments
		}
		collection, err := a.collection(ctx, o)
		if err != nil {
			return applied, err
		}
		o.Path = collection + "/" + o.Metadata.Name
		err = a.do(ctx, http.MethodPatch, o.Path+"?fieldManager=e2e&fieldValidation=Strict",
			"application/apply-patch+yaml", []byte(document), &o)
		if err != nil {
			return applied, fmt.Errorf("apply %s %s: %w", o.Kind, o.Metadata.Name, err)
		}
		applied = append(applied, o)
	}
	return applied, nil
}

// collection returns the API path for objects of the kind.
func (a *API) collection(ctx context.Context, o Object) (string, error) {
	version := "/apis/" + o.APIVersion
	if !strings.Contains(o.APIVersion, "/") {
		version = "/api/" + o.APIVersion
	}
	var list struct {
		Resources []struct {
			Name, Kind string
			Namespaced bool
		}
	}
	if err := a.Get(ctx, version, &list); err != nil {
		return "", err
	}
	for _, r := range list.Resources {
		switch {
		case r.Kind != o.Kind || strings.Contains(r.Name, "/"):
		case r.Namespaced && o.Metadata.Namespace == "":
			return "", fmt.Errorf("kubernetes: %s %s: the manifest names no namespace", o.Kind, o.Metadata.Name)
		case r.Namespaced:
			return version + "/namespaces/" + o.Metadata.Namespace + "/" + r.Name, nil
		default:
			return version + "/" + r.Name, nil
		}
	}
	return "", fmt.Errorf("kubernetes: the API server knows no %s %s", o.APIVersion, o.Kind)
}
