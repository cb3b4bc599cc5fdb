package main

import (
	"net/url"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/crossrole/crossrole/s3reader"
)

var (
	accountPattern = regexp.MustCompile(`^[0-9]{12}$`)
	// https://kubernetes.io/docs/concepts/overview/working-with-objects/names/
	kubeLabel  = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)
	kubeDomain = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)
	roleName   = regexp.MustCompile(`^[\w+=,.@-]{1,64}$`)
)

func checkAccount(flag, id string) error {
	if !accountPattern.MatchString(id) {
		return usagef("%s %q; want the 12 digits of an account", flag, id)
	}
	return nil
}

func checkIssuer(flag, issuer string) error {
	u, err := url.Parse(issuer)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil || shown(issuer) != issuer {
		return usagef("%s %q; want the issuer as the cluster's tokens spell it, https://…: kubectl get --raw /.well-known/openid-configuration", flag, issuer)
	}
	return nil
}

func checkRoleName(flag, name string) error {
	if !roleName.MatchString(name) {
		return usagef("%s %q; want a role's name: 1–64 of letters, digits and +=,.@_-", flag, name)
	}
	return nil
}

// splitServiceAccount reads NAMESPACE/NAME.
func splitServiceAccount(s string) (namespace, name string, err error) {
	namespace, name, ok := strings.Cut(s, "/")
	switch {
	case !ok:
		return "", "", usagef("--service-account %q; want NAMESPACE/NAME", s)
	case len(namespace) > 63 || !kubeLabel.MatchString(namespace):
		return "", "", usagef("--service-account %q: %q is no namespace; want NAMESPACE/NAME, the namespace with at most 63 of a-z, 0-9 and -, a letter or digit at both ends", s, namespace)
	case len(name) > 253 || !kubeDomain.MatchString(name):
		return "", "", usagef("--service-account %q: %q is no service account; want NAMESPACE/NAME, the name with at most 253 of a-z, 0-9, - and ., a letter or digit at both ends and beside every dot", s, name)
	}
	return namespace, name, nil
}

// checkAccountPattern does the same for a name in which * and ? are wildcards.
func checkAccountPattern(s string) error {
	_, _, err := splitServiceAccount(strings.NewReplacer("*", "x", "?", "x").Replace(s))
	if err != nil && strings.ContainsAny(s, "*?") {
		return usagef("--service-account %q matches no service account; want NAMESPACE/NAME as Kubernetes spells them (a-z, 0-9, - and, in NAME, .), with * and ? as wildcards", s)
	}
	return err
}

// checkBucketName returns the name of a bucket that policies are written for.
func checkBucketName(flag, bucket string) (name, partition string, err error) {
	name, partition = bucketOfARN(bucket)
	if strings.HasPrefix(name, "arn:") {
		return "", "", usagef("%s %q; want a bucket's name, or arn:aws:s3:::NAME", flag, bucket)
	}
	if _, err := s3reader.New(aws.Config{Region: "us-east-1", Credentials: aws.AnonymousCredentials{}}, name); err != nil {
		return "", "", usagef("%s: %w", flag, err)
	}
	return name, partition, nil
}
