package credentials_test

import (
	"errors"
	"testing"

	"github.com/crossrole/crossrole/credentials"
	"github.com/crossrole/crossrole/trust"
)

// exported and hidden are structs of a user's that hold a value of ours.
type exported[T any] struct {
	Value   T
	Pointer *T
	Any     any
	Many    []T
	Array   [1]*T
	Named   map[string]T
}

type hidden[T any] struct{ value T }

// held are the ways to hold a value whose type fmt, slog and encoding/json can ask
// for its text.
func held[T any](v T) map[string]any {
	all := exported[T]{v, &v, v, []T{v}, [1]*T{&v}, map[string]T{"x": v}}
	return map[string]any{
		"value": v, "pointer": &v, "slice": []T{v}, "pointers": []*T{&v}, "array": [1]T{v}, "map": map[string]T{"x": v}, "map of any": map[string]any{"x": v},
		"struct": all, "pointer to struct": &all, "slice of structs": []exported[T]{all}, "error": errors.Join(errors.New("x")),
	}
}

// No type of the package shows a secret, held in whatever way, under whatever
// verb. A Role, and what has one in an exported field, can do nothing about being
// held in an unexported field, where fmt calls no method: Role.ExternalID says so.
func TestNoTypePrintsSecrets(t *testing.T) {
	s := newScene(t)
	f := newFailing(s, s.web(), nil)
	role := credentials.Role{ARN: s.target.ARN(), ExternalID: externalID}
	s.target.SetTrust(trust.RolePolicy(s.hub.ARN(), func(o *trust.PolicyOptions) { o.ExternalID = externalID }).String())
	var options credentials.Options
	chain := newChain(t, f.base, func(o *credentials.Options) {
		f.options(o)
		options = *o
	})
	creds, err := chain.Retrieve(t.Context())
	check(t, err)
	f.heard.add("session token", creds.SessionToken)
	report := chain.Check(t.Context())
	pool, err := credentials.NewPool(f.base, func(o *credentials.PoolOptions) { o.Source = s.web() })
	check(t, err)
	poolChain(t, pool, role)
	other := role
	other.ExternalID = externalID + "-2"
	f.heard.add("external id", other.ExternalID)
	_, err = newChain(t, f.base, func(o *credentials.Options) { o.Source, o.Roles = s.web(), []credentials.Role{other} }).Retrieve(t.Context())
	failed, ok := errors.AsType[*credentials.Error](err)
	if !ok {
		t.Fatal(err)
	}
	event := credentials.Event{Type: credentials.RefreshFailed, Err: failed}
	provider := credentials.Provider{Name: "vault", Credentials: chain}

	for name, ways := range map[string]map[string]any{
		"Role": held(role), "Options": held(options), "PoolOptions": held(credentials.PoolOptions{Options: options}), "Provider": held(provider), "Warmed": held(credentials.Warmed{Role: role, Err: failed}),
		"Error": held(*failed), "Event": held(event), "Report": held(*report), "HopReport": held(report.Hops[1]), "TokenReport": held(*report.Token),
		"Status": held(chain.Status()), "HopStatus": held(chain.Status().Hops[1]), "WebIdentity": held(s.web()), "Source": held[credentials.Source](provider),
		"*Chain": held(chain), "*Pool": held(pool), "*Error": held(failed),
	} {
		for way, v := range ways {
			f.heard.silent(t, name+", "+way, v)
		}
	}
	for name, v := range map[string]any{
		"*Chain": hidden[*credentials.Chain]{chain}, "*Pool": hidden[*credentials.Pool]{pool}, "Error": hidden[credentials.Error]{*failed}, "*Error": hidden[*credentials.Error]{failed}, "Event": hidden[credentials.Event]{event}, "error": hidden[error]{failed},
		"Report": hidden[credentials.Report]{*report}, "Status": hidden[credentials.Status]{chain.Status()}, "Source": hidden[credentials.Source]{s.web()},
	} {
		f.heard.silent(t, name+", hidden", v)
		f.heard.silent(t, name+", hidden twice", hidden[any]{v})
	}
}
