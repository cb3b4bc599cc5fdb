package main

// The part to copy: a chain for each service account, whose tokens come from the
// TokenRequest API.

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/crossrole/crossrole/credentials"
)

const (
	roleAnnotation = "eks.amazonaws.com/role-arn"
	audience       = "sts.amazonaws.com"
	// The shortest lifetime that the TokenRequest API allows. A token is exchanged
	// right after it was issued.
	tokenSeconds = 600
)

// Tenants holds one chain for each service account. It is safe for concurrent use.
type Tenants struct {
	client kubernetes.Interface
	base   aws.Config // its credentials are not used
	log    *slog.Logger

	mu   sync.Mutex
	held map[cache.ObjectName]tenant
}

type tenant struct {
	uid  types.UID
	role string
	cfg  aws.Config
}

// NewTenants returns a Tenants without chains. All chains use the region, the endpoints
// and the HTTP client of base.
func NewTenants(client kubernetes.Interface, base aws.Config, log *slog.Logger) *Tenants {
	return &Tenants{client: client, base: base, log: log, held: map[cache.ObjectName]tenant{}}
}

// Config returns a configuration that signs as the service account's role. It makes no
// request. Calls for the same account return the same chain, unless the account has
// another role now or was deleted and created again. Without a role it is an error.
func (t *Tenants) Config(account *corev1.ServiceAccount) (aws.Config, error) {
	name, role := cache.MetaObjectToName(account), account.Annotations[roleAnnotation]
	t.mu.Lock()
	defer t.mu.Unlock()
	if role == "" { // WebIdentity would take the controller's own, from AWS_ROLE_ARN
		delete(t.held, name)
		return aws.Config{}, fmt.Errorf("the service account has no annotation %s", roleAnnotation)
	}
	if held, ok := t.held[name]; ok && held.uid == account.UID && held.role == role {
		return held.cfg, nil
	}
	cfg, err := credentials.Wrap(t.base, func(o *credentials.Options) {
		o.Source = credentials.WebIdentity{RoleARN: role, Audience: audience, Token: t.token(name, account.UID)}
		o.Logger = t.log.With("serviceAccount", name.String())
	})
	if err != nil {
		return aws.Config{}, err
	}
	t.held[name] = tenant{uid: account.UID, role: role, cfg: cfg}
	return cfg, nil
}

// Drop forgets the service account's chain, and reports whether there was one.
func (t *Tenants) Drop(name cache.ObjectName) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, ok := t.held[name]
	delete(t.held, name)
	return ok
}

// token returns a function that requests a token for the service account.
func (t *Tenants) token(name cache.ObjectName, uid types.UID) func(context.Context) ([]byte, error) {
	seconds := int64(tokenSeconds)
	return func(ctx context.Context) ([]byte, error) {
		issued, err := t.client.CoreV1().ServiceAccounts(name.Namespace).CreateToken(ctx, name.Name, &authenticationv1.TokenRequest{
			// The API server issues no token for a new account of the same name.
			ObjectMeta: metav1.ObjectMeta{UID: uid},
			Spec:       authenticationv1.TokenRequestSpec{Audiences: []string{audience}, ExpirationSeconds: &seconds},
		}, metav1.CreateOptions{})
		if apierrors.IsForbidden(err) {
			return nil, fmt.Errorf(`%w; this takes a Role in namespace %s, bound to the controller's service account, with the rule {apiGroups: [""], resources: [serviceaccounts/token], resourceNames: [%s], verbs: [create]}`,
				err, name.Namespace, name.Name)
		}
		if err != nil {
			return nil, err
		}
		return []byte(issued.Status.Token), nil
	}
}
