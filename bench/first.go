package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/endpointcreds"

	"github.com/crossrole/crossrole/credentials"
)

// The first row: pods that start a few seconds before what they need.

const startedRow = "first/started"

var firstStarted = group{rows: []Row{higher(startedRow, "pods")}, measure: inVirtualTime(startedRow, 5)}

const (
	latePods    = 100 // half of them start from a token file, half from the node's agent
	lateBy      = 8 * time.Second
	startLimit  = time.Minute // no pod is waited for any longer
	agentHost   = "169.254.170.23"
	agentURL    = "http://" + agentHost + "/v1/credentials"
	agentSecret = "agent-token"
)

// playLateStart starts pods that ask once for credentials, as a short Job does, while
// STS or the agent refuses connections, and counts those that get some.
func playLateStart(ctx context.Context, _ settings, c contender, dir string, add func(string, float64)) error {
	if c.name != ours && c.name != sdk {
		return nil
	}
	tokenFile, err := writeToken(dir)
	if err != nil {
		return err
	}
	agentToken := filepath.Join(dir, "agent-token")
	if err := os.WriteFile(agentToken, []byte(agentSecret), 0o600); err != nil {
		return err
	}
	var started atomic.Int64
	for _, late := range []string{homeHost, agentHost} {
		server := newSTS(hopDelay, hourLife)
		server.away = late
		server.set(refusing)
		listens := time.AfterFunc(lateBy, func() { server.set(working) })
		var running sync.WaitGroup
		for range latePods / 2 {
			make := c.make
			if late == agentHost {
				make = agentContenders[c.name]
			}
			retrieve, err := make(pod{client: server.client(), tokenFile: tokenFile, agentToken: agentToken})
			if err != nil {
				return err
			}
			running.Go(func() {
				ctx, cancel := context.WithTimeout(ctx, startLimit)
				defer cancel()
				if retrieve(ctx) == nil {
					started.Add(1)
				}
			})
		}
		running.Wait()
		listens.Stop()
		server.close()
	}
	add(startedRow, float64(started.Load()))
	return nil
}

// agentContenders build providers that start from the EKS Pod Identity agent.
var agentContenders = map[string]func(p pod) (retriever, error){
	ours: func(p pod) (retriever, error) {
		chain, err := credentials.New(aws.Config{Region: region, HTTPClient: p.client}, credentials.Assume(targetARN), func(o *credentials.Options) {
			o.Source = credentials.PodIdentity{Endpoint: agentURL, TokenFile: p.agentToken}
		})
		return of(chain), err
	},
	sdk: func(p pod) (retriever, error) {
		// As the SDK's config package makes it.
		agent := endpointcreds.New(agentURL, func(o *endpointcreds.Options) {
			o.HTTPClient, o.AuthorizationToken = p.client, agentSecret
		})
		cfg := aws.Config{Region: region, HTTPClient: p.client}
		hub := aws.NewCredentialsCache(agent, func(o *aws.CredentialsCacheOptions) { o.ExpiryWindow = 5 * time.Minute })
		return of(sdkHopTo(targetARN, cfg, hub, func(*aws.CredentialsCacheOptions) {})), nil
	},
}

// agentKeys writes the agent's response: a session of the hub.
func (s *stsServer) agentKeys(r *http.Request) (*http.Response, error) {
	body, err := json.Marshal(map[string]any{
		"AccessKeyId": fmt.Sprintf("ASIA%d", s.requests.Load()), "SecretAccessKey": "secret", "Token": s.token,
		"AccountId": "111122223333", "Expiration": time.Now().Add(s.life).UTC(),
	})
	if err != nil {
		return nil, err
	}
	resp := reply(r, http.StatusOK, string(body))
	resp.Header.Set("Content-Type", "application/json")
	return resp, nil
}
