package main

import (
	"context"
	"errors"
	"net/url"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	library "github.com/crossrole/crossrole"
	"github.com/crossrole/crossrole/cmd/crossrole/internal/buildversion"
	"github.com/crossrole/crossrole/cmd/crossrole/internal/rolesetting"
	"github.com/crossrole/crossrole/credentials"
	"github.com/crossrole/crossrole/internal/lazyregexp"
)

// The root command, and what the commands share: the flags of a chain, and the checks of
// names.

func newRoot() *cobra.Command {
	info, _ := debug.ReadBuildInfo()
	root := &cobra.Command{
		Use:   "crossrole",
		Short: "Check, set up and use a pod's access to a role of another AWS account",
		Long: `crossrole checks, sets up and uses a pod's access to a role of another AWS
account.

The pod's service account is annotated with an IAM role; Kubernetes mounts a
token and sets AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE. On the direct
route that role belongs to the other account. On the hub route it belongs to
the cluster's own account and assumes the other account's role; each --role
names one more role to assume.

Exit status: 0 success, 1 a problem was found, 2 wrong usage.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       buildversion.String(info),
		Args:          cobra.NoArgs,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(newDoctor(), newTrust(), newIssuer(), newSetup(), newProcess(), newServe(), newExec(), newCp(), newLs(), newEmulate(), newRoles())
	asUsage(root)
	return root
}

// newRoles returns a help page that is not a command.
func newRoles() *cobra.Command {
	return &cobra.Command{Use: "roles", Short: "The form of --role: settings of a role", Long: rolesetting.Help}
}

// asUsage makes wrong arguments and missing flags usage errors, in c and its
// subcommands.
func asUsage(c *cobra.Command) {
	if check := c.Args; check != nil {
		c.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				return usageError{err}
			}
			if err := c.ValidateRequiredFlags(); err != nil {
				return usageError{err}
			}
			return nil
		}
	}
	for _, sub := range c.Commands() {
		asUsage(sub)
	}
}

// podFlags are the flags that describe the chain of a command that runs in a pod.
type podFlags struct {
	roles     []string
	source    string
	fallbacks []string
	token     []string // the program that prints the token, and its arguments; nil: the token is in a file
}

func (p *podFlags) add(c *cobra.Command) {
	c.Flags().StringArrayVar(&p.roles, "role", nil, "`ARN[,setting]...` of a role to assume after the pod's own; repeat it for further roles; see crossrole help roles")
	p.addSource(c)
}

// addSource adds the flags of where the pod's own session comes from.
func (p *podFlags) addSource(c *cobra.Command) {
	c.Flags().StringArrayVar(&p.fallbacks, "fallback-region", nil, "`REGION` whose STS is used while the one of the pod's own region does not respond; repeat the flag for more")
	c.Flags().StringVar(&p.source, "source", "web-identity", "where the pod's identity comes from: web-identity, pod-identity, node-role, or base (the SDK's own configuration, for a laptop)")
}

// chain returns the chain that the flags and the environment describe.
func (p *podFlags) chain(ctx context.Context, optFns ...func(*credentials.Options)) (*credentials.Chain, error) {
	own, roles, err := rolesetting.ParseAll(p.roles)
	if err != nil {
		return nil, usageError{err}
	}
	source, err := p.parseSource()
	if err != nil {
		return nil, err
	}
	if p.token != nil {
		web, ok := source.(credentials.WebIdentity)
		if !ok {
			return nil, usagef("--token-command with --source %s: only web-identity exchanges a token; leave out one of them", p.source)
		}
		web.Token = tokenCommand(p.token)
		source = web
	}
	if source, err = rolesetting.Source(source, own); err != nil {
		return nil, usageError{err}
	}
	cfg, err := library.LoadConfig(ctx, append([]func(*credentials.Options){
		func(o *credentials.Options) { o.Source, o.Roles, o.FallbackRegions = source, roles, p.fallbacks },
	}, optFns...)...)
	if err != nil {
		return nil, err
	}
	chain, _ := credentials.ChainOf(cfg)
	return chain, nil
}

// parseSource returns the source that the flag names.
func (p *podFlags) parseSource() (credentials.Source, error) {
	source, err := credentials.ParseSource(p.source)
	if e, ok := errors.AsType[*credentials.Error](err); ok {
		return nil, usagef("--%w", e.Err) // its text begins with: source
	}
	return source, err
}

var (
	accountPattern = lazyregexp.New(`^[0-9]{12}$`)
	// https://kubernetes.io/docs/concepts/overview/working-with-objects/names/
	kubeLabel  = lazyregexp.New(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)
	kubeDomain = lazyregexp.New(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)
	roleName   = lazyregexp.New(`^[\w+=,.@-]{1,64}$`)
	// RFC 3986, section 2
	urlCharacters = lazyregexp.New(`^[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+$`)
)

func checkAccount(flag, id string) error {
	if !accountPattern().MatchString(id) {
		return usagef("%s %q; want the 12 digits of an account ID", flag, id)
	}
	return nil
}

func checkIssuer(flag, issuer string) error {
	u, err := url.Parse(issuer)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil || quote(issuer) != issuer || !urlCharacters().MatchString(issuer) {
		return usagef("%s %q; want the issuer as in the cluster's tokens, https://…; to print it: kubectl get --raw /.well-known/openid-configuration", flag, issuer)
	}
	return nil
}

func checkRoleName(flag, name string) error {
	if !roleName().MatchString(name) {
		return usagef("%s %q; want a role's name: 1–64 of letters, digits and +=,.@_-", flag, name)
	}
	return nil
}

// splitServiceAccount parses NAMESPACE/NAME.
func splitServiceAccount(s string) (namespace, name string, err error) {
	namespace, name, ok := strings.Cut(s, "/")
	switch {
	case !ok:
		return "", "", usagef("--service-account %q; want NAMESPACE/NAME", s)
	case len(namespace) > 63 || !kubeLabel().MatchString(namespace):
		return "", "", usagef("--service-account %q: %q is not a namespace; want NAMESPACE/NAME, the namespace with at most 63 of a-z, 0-9 and -, a letter or digit at both ends", s, namespace)
	case len(name) > 253 || !kubeDomain().MatchString(name):
		return "", "", usagef("--service-account %q: %q is not a service account; want NAMESPACE/NAME, the name with at most 253 of a-z, 0-9, - and ., a letter or digit at both ends and next to every dot", s, name)
	}
	return namespace, name, nil
}

// checkAccountPattern checks NAMESPACE/NAME in which * and ? are wildcards.
func checkAccountPattern(s string) error {
	_, _, err := splitServiceAccount(strings.NewReplacer("*", "x", "?", "x").Replace(s))
	if err != nil && strings.ContainsAny(s, "*?") {
		return usagef("--service-account %q matches no service account; want NAMESPACE/NAME as in Kubernetes (a-z, 0-9, - and, in NAME, .), with * and ? as wildcards", s)
	}
	return err
}

// checkBucketName returns the name and, if an ARN shows it, the partition of a bucket
// for which policies are printed.
func checkBucketName(flag, bucket string) (name, partition string, err error) {
	name, partition = bucketOfARN(bucket)
	if strings.HasPrefix(name, "arn:") {
		return "", "", usagef("%s %q; want a bucket's name, or arn:aws:s3:::NAME", flag, bucket)
	}
	return name, partition, validBucket(flag, name)
}
