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

// StatusError is an API server's refusal.
type StatusError struct {
	Code            int
	Reason, Message string
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("kubernetes: %d %s: %s", e.Code, e.Reason, e.Message)
}

// Missing reports whether the API server says that there is no such thing.
func Missing(err error) bool {
	refusal, ok := errors.AsType[*StatusError](err)
	return ok && refusal.Code == http.StatusNotFound
}

// do sends a request, and reads the answer into the value, unless that is nil.
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
		// What is no Status object stands in the message as it is.
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

// Delete removes an object at once.
func (a *API) Delete(ctx context.Context, path string) error {
	return a.do(ctx, http.MethodDelete, path+"?gracePeriodSeconds=0", asJSON, nil, nil)
}

// Ready is nil when the API server says that it serves.
func (a *API) Ready(ctx context.Context) error {
	return a.do(ctx, http.MethodGet, "/readyz", asJSON, nil, nil)
}
