package credentials

import (
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/crossrole/crossrole/credentials/internal/stsclient"
)

// resolver turns options and environment into the settings of a chain and collects all
// problems. It opens no file and makes no call. Partitions are compared at the end, when
// everything that names one is known.
type resolver struct {
	problems
	base    aws.Config
	options Options

	region      string
	stsEndpoint string   // from AWS_ENDPOINT_URL_STS; empty: the region's
	partitions  []origin // of everything that names one
	notices     []string // to be logged once
}

// origin is a partition and the setting that it comes from.
type origin struct{ partition, from string }

func (r *resolver) resolve() (source Source, roles []*Role) {
	r.resolveRegion()
	r.resolveSTSEndpoint()

	source = r.options.Source
	if isNil(source) {
		if source != nil {
			r.addf("Options.Source", "a nil %T; set a value, such as WebIdentity{}, or nothing", source)
		}
		source = WebIdentity{}
	}
	source = source.check(r)
	r.checkShadowing(source)

	last := r.assumedBy(source)
	for i, role := range r.options.Roles {
		role = r.nextRole(fmt.Sprintf("Options.Roles[%d]", i), role, i == 0, source, last)
		last = role.ARN
		roles = append(roles, &role)
	}
	r.checkExpectedAccount(last)
	r.checkRefresh()
	return source, roles
}

// assumedBy returns the source's role, which the first of Roles must not repeat.
func (r *resolver) assumedBy(source Source) string {
	if _, ok := source.(FromBase); ok {
		source = Provider{Credentials: r.base.Credentials}
	}
	return source.assumes()
}

func (r *resolver) resolveRegion() {
	s := fill(r.base.Region, "aws.Config.Region", envRegion, envDefaultRegion)
	r.region = s.value
	if s.value == "" {
		r.addf("region", "not set; the STS endpoint follows from it: set aws.Config.Region, %s or %s (outside EKS nothing injects it)", envRegion, envDefaultRegion)
		return
	}
	if !isRegion(s.value) {
		r.addf(s.from, "%q is not the name of a region; want one like us-east-1, of which %s is the closest", s.value, closestRegion(s.value))
		return
	}
	r.partition(partitionOf(s.value), s.from+" "+s.value)
}

// resolveSTSEndpoint reads AWS_ENDPOINT_URL_STS only: AWS_ENDPOINT_URL is often set for an
// S3-compatible store. AWS_IGNORE_CONFIGURED_ENDPOINT_URLS switches it off, as in the SDKs
// (https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html).
func (r *resolver) resolveSTSEndpoint() {
	s := fill("", "", envSTSEndpoint)
	if s.value == "" {
		return
	}
	switch ignore := fill("", "", envIgnoreEndpoints); {
	case strings.EqualFold(ignore.value, "true"):
		return
	case ignore.value != "" && !strings.EqualFold(ignore.value, "false"):
		r.addf(ignore.from, "%q; want true or false: true ignores %s", ignore.value, envSTSEndpoint)
		return
	}
	if r.checkEndpoint(s.from, s.value) {
		r.stsEndpoint = s.value
	}
}

// stsClient returns the STS client of a region and checks what Options.STS made of it.
func (r *resolver) stsClient(of string) *stsclient.Client {
	c := stsclient.New(r.base, of, r.stsEndpoint, r.options.STS)
	if c.Endpoint() != "" && c.Endpoint() != r.stsEndpoint {
		r.checkEndpoint("BaseEndpoint of Options.STS", c.Endpoint())
	}
	switch region := c.Region(); {
	case region == of:
	case !isRegion(region):
		r.addf("Region of Options.STS", "%q is not the name of a region; want one like us-east-1, of which %s is the closest", region, closestRegion(region))
	default:
		r.partition(partitionOf(region), "Region "+region+" of Options.STS")
	}
	if c.FIPS() && c.Endpoint() != "" {
		r.addf("STS endpoint", "FIPS is on and an endpoint is set, which the SDK refuses; give the endpoint's FIPS host and switch FIPS off in Options.STS")
	}
	return c
}

func (r *resolver) checkEndpoint(from, value string) bool {
	u, err := url.Parse(value)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		// The value may hold a password: print only where it comes from.
		r.addf(from, "not a URL; want https://host")
		return false
	}
	return true
}

// partition records a partition that must agree with all others.
func (r *resolver) partition(partition, from string) {
	if partition != "" {
		r.partitions = append(r.partitions, origin{partition, from})
	}
}

// checkPartitions names the way from one partition to another once:
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_outbound_cross_partition.html
func (r *resolver) checkPartitions() {
	way := "; no session crosses partitions: use outbound identity federation, where WebIdentity.Token calls sts:GetWebIdentityToken in the source partition and the other one's account has an OIDC provider for its issuer"
	for _, p := range r.partitions[min(1, len(r.partitions)):] {
		if first := r.partitions[0]; p.partition != first.partition {
			r.addf("partition", "%s is of partition %s, but %s is of %s%s", p.from, p.partition, first.from, first.partition, way)
			way = ""
		}
	}
}

func (r *resolver) checkExpectedAccount(last string) {
	want := r.options.ExpectedAccount
	if want == "" {
		return
	}
	if !isAccount(want) {
		r.addf("Options.ExpectedAccount", "%q is not an account id; want 12 digits", want)
		return
	}
	if a, err := parseRoleARN(last); err == nil && a.account != want {
		r.addf("Options.ExpectedAccount", "%q, but the chain ends in %s of account %s", want, last, a.account)
	}
}

func (r *resolver) checkRefresh() {
	f := r.options.Refresh
	if f.Window < 0 {
		r.addf("Options.Refresh.Window", "%v is negative; zero takes the default", f.Window)
	}
	if f.Timeout < 0 {
		r.addf("Options.Refresh.Timeout", "%v is negative; zero takes 30s", f.Timeout)
	}
	if f.FailureCap < 0 {
		r.addf("Options.Refresh.FailureCap", "%v is negative; zero takes 60s", f.FailureCap)
	}
	if f.RetryDenied < 0 {
		r.addf("Options.Refresh.RetryDenied", "%v is negative; zero never retries a denial", f.RetryDenied)
	}
}

// checkShadowing reports variables that select other credentials in the SDK. With
// FromBase and Provider they may have selected the provider.
func (r *resolver) checkShadowing(source Source) {
	var others []string
	switch source.(type) {
	case FromBase, Provider:
		return
	case WebIdentity:
		others = []string{envPodIdentityURL, envPodIdentityFile}
	case PodIdentity:
		others = []string{envRoleARN, envTokenFile}
	case NodeRole:
		others = []string{envRoleARN, envTokenFile, envPodIdentityURL, envPodIdentityFile}
	}
	var names []string
	for _, name := range slices.Concat(shadowing, others) {
		if os.Getenv(name) != "" { // set to the empty string is unset, as in the SDK
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return
	}
	list := strings.Join(names, ", ")
	if r.options.Strict {
		r.addf("Options.Strict", "%s set, but the source is %s; unset them or choose the source they belong to", list, source)
		return
	}
	r.notices = append(r.notices, list+" set but not used: the source is "+source.String())
}

// The variables that may fill in a chain's settings. Nothing else in the environment
// influences a chain.
const (
	envRoleARN         = "AWS_ROLE_ARN"
	envTokenFile       = "AWS_WEB_IDENTITY_TOKEN_FILE"
	envSessionName     = "AWS_ROLE_SESSION_NAME"
	envRegion          = "AWS_REGION"
	envDefaultRegion   = "AWS_DEFAULT_REGION"
	envSTSEndpoint     = "AWS_ENDPOINT_URL_STS"
	envIgnoreEndpoints = "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"
	envPodIdentityURL  = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
	envPodIdentityFile = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"
)

// shadowing are the variables that select credentials in the SDK's own default chain. They
// have no effect here, which a program is warned about.
var shadowing = []string{
	"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
	"AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE",
}

// setting is a value and where it came from, for messages.
type setting struct{ value, from string }

// fill returns the field's value, or that of the first variable that is set. If there is
// none, from is the field.
func fill(value, field string, variables ...string) setting {
	if value != "" {
		return setting{value, field}
	}
	for _, name := range variables {
		if v := os.Getenv(name); v != "" {
			return setting{v, name}
		}
	}
	return setting{"", field}
}

// problems collects everything that is wrong with a chain's settings, for one error.
type problems []error

// addf adds one problem: where the value came from, the value, the rule and the fix.
func (f *problems) addf(where, format string, args ...any) {
	*f = append(*f, fmt.Errorf("%s: %s", where, fmt.Sprintf(format, args...)))
}

// addNilOption adds a nil among the functions that set options.
func (f *problems) addNilOption(i int) {
	f.addf(fmt.Sprintf("optFns[%d]", i), "nil; leave out what sets no option")
}

// err returns a ConfigInvalid that lists the problems, or nil.
func (f problems) err() error {
	if len(f) == 0 {
		return nil
	}
	return &Error{Kind: ConfigInvalid, Err: f}
}

// maxLines is how many problems have a line each. More of them become one paragraph.
const maxLines = 4

func (f problems) Error() string {
	if len(f) == 1 {
		return f[0].Error()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d settings are wrong", len(f))
	for i, e := range f {
		switch {
		case len(f) <= maxLines:
			b.WriteString("\n  - ")
		case i == 0:
			b.WriteString(": (1) ")
		default:
			fmt.Fprintf(&b, "; (%d) ", i+1)
		}
		b.WriteString(e.Error())
	}
	return b.String()
}

func (f problems) Unwrap() []error { return f }

// configError returns a ConfigInvalid with a single problem.
func configError(format string, args ...any) *Error {
	return &Error{Kind: ConfigInvalid, Err: fmt.Errorf(format, args...)}
}
