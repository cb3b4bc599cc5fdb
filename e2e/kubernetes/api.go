package kubernetes

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// API is a client of one API server.
type API struct {
	base, token string
	client      *http.Client
}

// StatusError is an error response of an API server.
type StatusError struct {
	Code            int
	Reason, Message string
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("kubernetes: %d %s: %s", e.Code, e.Reason, e.Message)
}

// Missing reports whether the error means that the object does not exist.
func Missing(err error) bool {
	refusal, ok := errors.AsType[*StatusError](err)
	return ok && refusal.Code == http.StatusNotFound
}

// do sends a request and decodes the response into the value, unless it is nil.
func (a *API) do(ctx context.Context, method, path, contentType string, body []byte, into any) error {
	req, err := http.NewRequestWithContext(ctx, method, a.base+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+a.token)
	req.Header.Set("Content-Type", contentType)
	resp, err := a.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("kubernetes: %s %s: %w", method, path, err)
	}
	if resp.StatusCode >= 300 {
		refusal := &StatusError{Code: resp.StatusCode, Message: strings.TrimSpace(string(answer))}
		// If the response is not a Status object, it becomes the message.
		_ = json.Unmarshal(answer, refusal)
		return fmt.Errorf("%s %s: %w", method, path, refusal)
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return fmt.Errorf("kubernetes: %s %s: %w", method, path, err)
	}
	return nil
}

const asJSON = "application/json"

// Create posts an object to a collection.
func (a *API) Create(ctx context.Context, collection string, object, into any) error {
	body, err := json.Marshal(object)
	if err != nil {
		return fmt.Errorf("kubernetes: create: %w", err)
	}
	return a.do(ctx, http.MethodPost, collection, asJSON, body, into)
}

// Get reads an object.
func (a *API) Get(ctx context.Context, path string, into any) error {
	return a.do(ctx, http.MethodGet, path, asJSON, nil, into)
}

// Update replaces an object, or a part of it that has a path of its own.
func (a *API) Update(ctx context.Context, path string, object, into any) error {
	body, err := json.Marshal(object)
	if err != nil {
		return fmt.Errorf("kubernetes: update: %w", err)
	}
	return a.do(ctx, http.MethodPut, path, asJSON, body, into)
}

// Patch changes the fields of an object that the patch has (RFC 7396).
func (a *API) Patch(ctx context.Context, path string, patch any) error {
	body, err := json.Marshal(patch)
	if err != nil {
		return fmt.Errorf("kubernetes: patch: %w", err)
	}
	return a.do(ctx, http.MethodPatch, path, "application/merge-patch+json", body, nil)
}

// Evict asks the API server to delete a pod, as kubectl drain does.
func (a *API) Evict(ctx context.Context, namespace, pod string) error {
	return a.Create(ctx, "/api/v1/namespaces/"+namespace+"/pods/"+pod+"/eviction", map[string]any{
		"apiVersion": "policy/v1", "kind": "Eviction", "metadata": map[string]any{"name": pod, "namespace": namespace},
	}, nil)
}

// DeleteWhole removes an object and then what it owns, as kubectl delete does.
func (a *API) DeleteWhole(ctx context.Context, path string) error {
	return a.do(ctx, http.MethodDelete, path+"?propagationPolicy=Background", asJSON, nil, nil)
}

// Delete removes an object without a grace period.
func (a *API) Delete(ctx context.Context, path string) error {
	return a.do(ctx, http.MethodDelete, path+"?gracePeriodSeconds=0", asJSON, nil, nil)
}

// Ready returns nil if the API server reports that it is ready.
func (a *API) Ready(ctx context.Context) error {
	return a.do(ctx, http.MethodGet, "/readyz", asJSON, nil, nil)
}
