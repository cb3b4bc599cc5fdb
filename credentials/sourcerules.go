package credentials

import (
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
)

func (w WebIdentity) check(r *resolver) Source {
	role := fill(strings.TrimSpace(w.RoleARN), "WebIdentity.RoleARN", envRoleARN)
	file := fill(w.TokenFile, "WebIdentity.TokenFile", envTokenFile)
	name := fill(w.SessionName, "WebIdentity.SessionName", envSessionName)
	w.RoleARN, w.TokenFile, w.SessionName = strings.TrimSpace(role.value), file.value, name.value

	if w.RoleARN == "" || w.TokenFile == "" {
		r.addMissingIdentity(w)
	}
	if w.RoleARN != "" {
		r.checkRoleARN(role.from, w.RoleARN)
	}
	r.checkSessionName(name.from, w.SessionName)
	r.checkPolicies("WebIdentity", w.Policy, w.PolicyARNs)
	w.PolicyARNs = slices.Clone(w.PolicyARNs)
	if w.Duration != 0 {
		r.checkDuration("WebIdentity.Duration", w.Duration, maxDuration, "a role's MaxSessionDuration is at most 12 hours")
	}
	return w
}

// addMissingIdentity says what the pod lacks and why nothing else is used in its
// place.
func (r *resolver) addMissingIdentity(w WebIdentity) {
	const fix = "check the service account's eks.amazonaws.com/role-arn annotation and the webhook, and recreate the pod; the node's role (IMDS) is deliberately not used"
	var missing []string
	if w.RoleARN == "" {
		missing = append(missing, envRoleARN)
	}
	if w.TokenFile == "" {
		missing = append(missing, envTokenFile)
	}
	for _, name := range missing {
		field := "WebIdentity.RoleARN"
		if name == envTokenFile {
			field = "WebIdentity.TokenFile"
		}
		r.add(name, "not set, nor is %s: %s", field, fix)
	}
	if len(missing) == 2 && len(set(envPodIdentityURL)) > 0 {
		r.add(envPodIdentityURL, "set: this pod has EKS Pod Identity, which is used by choice only: set Options.Source to PodIdentity{}")
	}
}

// The hosts that may be asked for credentials without TLS: the Pod Identity
// agent's addresses, ECS's, and loopback; as in the SDKs' reference guide,
// https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
var agentAddresses = []netip.Addr{
	netip.MustParseAddr("169.254.170.23"),
	netip.MustParseAddr("fd00:ec2::23"),
	netip.MustParseAddr("169.254.170.2"),
}

func (p PodIdentity) check(r *resolver) Source {
	endpoint := fill(p.Endpoint, "PodIdentity.Endpoint", envPodIdentityURL)
	p.Endpoint = endpoint.value
	p.TokenFile = fill(p.TokenFile, "PodIdentity.TokenFile", envPodIdentityFile).value
	if p.TokenFile == "" {
		r.add(envPodIdentityFile, "not set, nor is PodIdentity.TokenFile: check the pod identity association of the service account and recreate the pod")
	}
	if p.Endpoint == "" {
		r.add(envPodIdentityURL, "not set, nor is PodIdentity.Endpoint: check the pod identity association of the service account and recreate the pod")
		return p
	}
	u, err := url.Parse(p.Endpoint)
	if err != nil || u.Host == "" {
		r.add(endpoint.from, "not a URL; want http://169.254.170.23/v1/credentials or the like")
		return p
	}
	if !mayAsk(u, agentAddresses) {
		r.add(endpoint.from, "host %q; without https only loopback and the agents' addresses (169.254.170.23, fd00:ec2::23) may be asked for credentials", u.Host)
	}
	return p
}

// mayAsk reports whether credentials may be asked for at u: over https, or else from
// loopback or one of the addresses.
func mayAsk(u *url.URL, addresses []netip.Addr) bool {
	if u.Scheme == "https" {
		return true
	}
	addr, err := netip.ParseAddr(u.Hostname())
	return u.Scheme == "http" && (u.Hostname() == "localhost" || err == nil && (addr.IsLoopback() || slices.Contains(addresses, addr)))
}

// The addresses of the instance metadata service:
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
var metadataAddresses = []netip.Addr{
	netip.MustParseAddr("169.254.169.254"),
	netip.MustParseAddr("fd00:ec2::254"),
}

const metadataEndpoint = "http://169.254.169.254"

func (n NodeRole) check(r *resolver) Source {
	const field = "NodeRole.Endpoint"
	if n.Endpoint == "" {
		n.Endpoint = metadataEndpoint
		return n
	}
	// The value may hold a password: name the host only.
	switch u, err := url.Parse(n.Endpoint); {
	case err != nil || u.Hostname() == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		r.add(field, "not the URL of a host alone; want http://[fd00:ec2::254] for a node with IPv6 only, or nothing for %s", metadataEndpoint)
	case !mayAsk(u, metadataAddresses):
		r.add(field, "host %q; without https only loopback and the metadata service's addresses (169.254.169.254, [fd00:ec2::254]) may be asked for credentials", u.Host)
	}
	n.Endpoint = strings.TrimRight(n.Endpoint, "/")
	return n
}

func (f FromBase) check(r *resolver) Source {
	c := r.base.Credentials
	if isNil(c) || aws.IsCredentialsProvider(c, (*aws.AnonymousCredentials)(nil)) {
		r.add("aws.Config.Credentials", "nil or anonymous, but the source is FromBase: load the configuration with credentials, for example config.WithSharedConfigProfile")
	}
	return f
}

func (p Provider) check(r *resolver) Source {
	if p.Credentials == nil {
		r.add("Provider.Credentials", "nil; set the provider that the chain starts from")
	} else if isNil(p.Credentials) {
		r.add("Provider.Credentials", "a nil %T; set the provider that the chain starts from", p.Credentials)
		p.Credentials = nil
	}
	return p
}

// isNil also sees the nil inside an interface, which would panic at first use.
func isNil(v any) bool {
	if v == nil {
		return true
	}
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Pointer, reflect.Func, reflect.Map:
		return r.IsNil()
	}
	return false
}
