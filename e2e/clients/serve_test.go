package clients_test

import (
	"testing"
	"time"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/e2e/served"
)

// served is the world for crossrole serve and its programs, with sessions that expire
// after a few seconds.
func (w *world) served(t *testing.T) served.Scene {
	t.Helper()
	w.shorten(t, 4*time.Second)
	return served.Scene{
		Pod:      append(w.pod.Env(), "AWS_ENDPOINT_URL_STS="+w.url),
		Role:     w.target.ARN(),
		Endpoint: w.url, Bucket: bucket, Key: key, Content: photo,
	}
}

// shorten makes STS report that sessions expire after the given time. STS has no
// sessions that short, so the fault is added again and again with a new expiry.
func (w *world) shorten(t *testing.T, life time.Duration) {
	say := func() func() {
		var removes []func()
		for _, operation := range []string{"AssumeRole", "AssumeRoleWithWebIdentity"} {
			removes = append(removes, w.cloud.Fault(awstest.Fault{Operation: operation, Expiration: new(time.Now().Add(life))}))
		}
		return func() {
			for _, remove := range removes {
				remove()
			}
		}
	}
	remove := say()
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
			}
			before := remove
			remove = say() // the oldest fault applies, so there is always one
			before()
		}
	}()
	t.Cleanup(func() { close(done); <-ended })
}

// Over the hub route, the AWS CLI reads with credentials from crossrole serve and
// crossrole process, and the JavaScript SDK with credentials from crossrole serve.
func TestClientsServe(t *testing.T) {
	w := newWorld(t)
	defer w.report(t)
	scene := w.served(t)
	t.Run("CLI", func(t *testing.T) { served.Start(t, scene).CLI(t) })
	t.Run("process", func(t *testing.T) { scene.Process(t) })
	t.Run("JavaScript", func(t *testing.T) { served.Start(t, scene).JavaScript(t, "js") })
}
