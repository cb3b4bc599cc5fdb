package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"

	"github.com/crossrole/crossrole/awstest"
	"github.com/crossrole/crossrole/trust"
)

// world is a controller that runs in a synctest bubble, its cluster and AWS.
type world struct {
	t        *testing.T
	cloud    *awstest.Cloud
	cluster  *awstest.Cluster
	client   *fake.Clientset
	requests []authenticationv1.TokenRequest // of tokens that were issued
	refused  bool                            // whether RBAC refuses tokens
	mu       sync.Mutex
	lines    []map[string]any // of the log
}

// newWorld returns a world with the role tenant-a, which trusts the account
// tenant-a/reader.
func newWorld(t *testing.T) *world {
	w := &world{t: t, cloud: awstest.New(), client: fake.NewClientset()}
	w.cluster = w.cloud.Cluster("https://oidc.eks.us-east-1.amazonaws.com/id/BLUE")
	shared := w.cloud.Account("444455556666")
	shared.AddOIDCProvider(w.cluster)
	shared.CreateRole("tenant-a",
		trust.WebIdentityPolicy(shared.ID(), []string{w.cluster.Issuer()}, []string{awstest.Subject("tenant-a", "reader")}).String(),
		trust.ReadBucketPolicy("pics", "").String())
	shared.CreateBucket("pics").Put("indoor-cat.jpg", []byte("meow"))
	w.client.PrependReactor("create", "serviceaccounts", w.token)
	return w
}

// token plays the TokenRequest API.
func (w *world) token(action k8stesting.Action) (bool, runtime.Object, error) {
	create, ok := action.(k8stesting.CreateActionImpl)
	if !ok || action.GetSubresource() != "token" {
		return false, nil, nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.refused {
		return true, nil, apierrors.NewForbidden(corev1.Resource("serviceaccounts"), create.Name, fmt.Errorf("no RBAC policy matched"))
	}
	request := create.Object.(*authenticationv1.TokenRequest).DeepCopy()
	w.requests = append(w.requests, *request)
	request.Status.Token = w.cluster.Token(create.Namespace, create.Name, func(t *trust.Token) {
		t.Audience = request.Spec.Audiences
		t.Expires = t.IssuedAt.Add(time.Duration(*request.Spec.ExpirationSeconds) * time.Second)
	})
	return true, request, nil
}

// Write takes one line of the log.
func (w *world) Write(line []byte) (int, error) {
	var fields map[string]any
	if err := json.Unmarshal(line, &fields); err != nil {
		w.t.Errorf("line %s: %v", line, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines = append(w.lines, fields)
	return len(line), nil
}

// run starts the controller in a bubble of synctest. It is stopped by the returned function.
func (w *world) run() (stop func()) {
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error)
	go func() {
		done <- NewController(w.client, w.cloud.Config(), slog.New(slog.NewJSONHandler(w, nil)), 5*time.Minute).Run(ctx)
	}()
	time.Sleep(time.Second) // until it watches
	synctest.Wait()
	return func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Error(err)
		}
		time.Sleep(time.Second) // client-go's queue notices in half a second
	}
}

// create creates the service account tenant-a/reader.
func (w *world) create(uid types.UID, annotations map[string]string) {
	w.t.Helper()
	_, err := w.client.CoreV1().ServiceAccounts("tenant-a").Create(w.t.Context(), &corev1.ServiceAccount{
		ObjectMeta: metav1.ObjectMeta{Namespace: "tenant-a", Name: "reader", UID: uid, Annotations: annotations},
	}, metav1.CreateOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	synctest.Wait()
}

func (w *world) delete() {
	w.t.Helper()
	if err := w.client.CoreV1().ServiceAccounts("tenant-a").Delete(w.t.Context(), "reader", metav1.DeleteOptions{}); err != nil {
		w.t.Fatal(err)
	}
	synctest.Wait()
}

// took returns the lines with this message since the last call, and forgets all lines.
func (w *world) took(message string) []map[string]any {
	w.mu.Lock()
	defer w.mu.Unlock()
	var found []map[string]any
	for _, l := range w.lines {
		if l["msg"] == message {
			found = append(found, l)
		}
	}
	w.lines = nil
	return found
}

// issued returns the UIDs for which tokens were issued.
func (w *world) issued() (uids string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.requests {
		uids += string(r.UID) + " "
	}
	return strings.TrimSpace(uids)
}

var tenantA = map[string]string{
	roleAnnotation:   "arn:aws:iam::444455556666:role/tenant-a",
	objectAnnotation: "s3://pics/indoor-cat.jpg",
}

// A service account has one chain for as long as it exists: one token for each session,
// not for each read.
func TestOneChainForEachAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.run()()
		w.create("uid-1", tenantA)
		read := w.took("read")
		if len(read) != 1 || read[0]["serviceAccount"] != "tenant-a/reader" || read[0]["bytes"] != 4.0 {
			t.Fatalf("after the account was created: %v", read)
		}
		time.Sleep(31 * time.Minute)
		if read := w.took("read"); len(read) != 6 {
			t.Errorf("%d reads in 31 minutes, want one every 5 minutes", len(read))
		}
		if got := len(w.requests); got > 2 {
			t.Errorf("%d tokens in half an hour, want one for each session of an hour", got)
		}
		request := w.requests[0].Spec
		if len(request.Audiences) != 1 || request.Audiences[0] != "sts.amazonaws.com" || request.BoundObjectRef != nil {
			t.Errorf("the token request is %+v", request)
		}
	})
}

func TestDropsAnAccountThatIsDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.run()()
		w.create("uid-1", tenantA)
		w.delete()
		if got := w.took("dropped"); len(got) != 1 {
			t.Errorf("after the account was deleted: %v", got)
		}
		calls := len(w.cloud.Calls())
		time.Sleep(2 * time.Hour)
		if now := w.cloud.Calls()[calls:]; len(now) > 0 {
			t.Errorf("requests for an account that does not exist: %v", now)
		}

		// The new account has the same name and role.
		w.create("uid-2", tenantA)
		if got := w.took("read"); len(got) != 1 || got[0]["uid"] != "uid-2" {
			t.Errorf("after the account was created again: %v", got)
		}
		if got := w.issued(); got != "uid-1 uid-2" {
			t.Errorf("tokens were issued for %s, want a new one for the new account", got)
		}
	})
}

func TestDropsAnAccountWithoutTheAnnotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.run()()
		w.create("uid-1", tenantA)
		w.took("read")
		update := func(annotations map[string]string) {
			_, err := w.client.CoreV1().ServiceAccounts("tenant-a").Update(t.Context(), &corev1.ServiceAccount{
				ObjectMeta: metav1.ObjectMeta{Namespace: "tenant-a", Name: "reader", UID: "uid-1", Annotations: annotations},
			}, metav1.UpdateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		update(map[string]string{objectAnnotation: "s3://pics/indoor-cat.jpg"})
		if got := w.took("not read"); len(got) != 1 || !strings.Contains(fmt.Sprint(got[0]["err"]), roleAnnotation) {
			t.Errorf("without a role: %v", got)
		}
		update(tenantA)
		if got := w.issued(); got != "uid-1 uid-1" {
			t.Errorf("tokens were issued for %s, want a second one: the chain was dropped with the role", got)
		}
		update(nil)
		if got := w.took("dropped"); len(got) != 1 {
			t.Errorf("without annotations: %v", got)
		}
	})
}

// The error of an account for which the controller may not request tokens names the RBAC
// rule that is missing. When it is granted, the controller recovers by itself.
func TestRefusedToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.refused = true
		defer w.run()()
		w.create("uid-1", tenantA)
		got := w.took("not read")
		if len(got) != 1 {
			t.Fatalf("%d lines, want one: %v", len(got), got)
		}
		err := fmt.Sprint(got[0]["err"])
		t.Log(err)
		for _, want := range []string{"TokenUnreadable", "forbidden", "Role in namespace tenant-a", "serviceaccounts/token", "resourceNames: [reader]", "verbs: [create]"} {
			if !strings.Contains(err, want) {
				t.Errorf("the error does not say %q", want)
			}
		}
		if calls := w.cloud.Calls(); len(calls) > 0 {
			t.Errorf("requests without a token: %v", calls)
		}

		w.mu.Lock()
		w.refused = false
		w.mu.Unlock()
		time.Sleep(2 * time.Minute)
		if got := w.took("read"); len(got) == 0 {
			t.Error("not read within two minutes after the rule was granted")
		}
	})
}
