package crossrole_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// claim is something that README.md promises, in its words, and what proves it. A proof is
// one of
//   - a test: its directory, a dot and its name; after a slash a script of TestScripts;
//   - "bench" and the name of a row of bench/;
//   - a page of AWS, which README.md or a page of docs/ links to.
type claim struct {
	words string
	proof []string
}

// guarantees are the claims in the section "Guarantees and limits", which has no others.
var guarantees = []claim{
	{"A valid session is returned immediately and renewed in the background;",
		[]string{"credentials.TestCallersNeverWaitAfterTheFirst", "credentials.TestSoak", "bench refresh/waiting-callers", "bench refresh/max-wait-ms"}},
	{"a failed renewal never discards it.",
		[]string{"credentials.TestOutageIsNotSeenWhileTheSessionIsValid", "credentials.TestSoak", "bench outage/failed-calls"}},
	{"A call waits for a renewal only in the session's last ten seconds, and then for two seconds at most.",
		[]string{"credentials.TestPhase", "credentials.TestOutageIsNotSeenWhileTheSessionIsValid", "credentials.TestSoak"}},
	{"At most one STS request per hop is in flight, however many callers are waiting.",
		[]string{"credentials.TestChainAsksOncePerHop", "credentials.TestOneCallersContextDoesNotFailTheOthers"}},
	{"When a service returns `ExpiredToken`, the session is renewed once for all callers and the request is retried.",
		[]string{"credentials.TestExpiredTokenFromAServiceIsRecovered", "s3reader.TestExpiredSessionIsRenewedOnce", "bench expired/recovered"}},
	{"(Sessions [revoked in the console](docs/operating.md#revoked-sessions) get `AccessDenied` instead.)",
		[]string{"credentials.TestAccessDeniedCostsNoSession", "https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_revoke-sessions.html"}},
	{"Reads from an open object never mix two versions of it.",
		[]string{"s3reader.TestChangedObjectIsNeverMixed", "s3reader.TestChangedObjectOfAVersionedBucket", "s3reader.TestFaultMatrix", "s3reader.TestRandomFaults"}},
	{"The complete object is verified if S3 stores a checksum for it.",
		[]string{"s3reader.TestWholeObjectsAreVerified", "s3reader.TestChecksumMismatch", "s3reader.TestCompositeChecksums", "s3reader.TestCompositeChecksumMismatch"}},
	{"No error, log line or metric contains a secret.",
		[]string{"credentials.TestNothingPrintsSecrets", "credentials.TestFailuresPrintNoSecrets", "credentials.TestEchoedSecretsAreNotPrinted", "credentials/metrics.TestMetricsContainNoSecrets", "s3reader.TestNoSecretInAnyText", "cmd/crossrole/internal/credserver.TestAttacker"}},
	{"Only [a few environment variables](docs/routes.md#what-selects-the-identity) can change which identity is used.",
		[]string{".TestVariablesThatSelectTheIdentity", ".TestLoadConfigSearchesForNoCredentials", "credentials.TestIdentityFromTheEnvironment", "credentials.TestShadowingVariables"}},
	{"crossrole writes nothing to S3 and changes nothing in AWS:",
		[]string{".TestNothingIsWrittenToAWS"}},
	{"`crossrole setup` only prints a script.",
		[]string{".TestNothingIsWrittenToAWS", "cmd/crossrole.TestSetupGolden"}},
	{"AWS limits a session of a [chained role](https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles.html#iam-term-role-chaining) to one hour. crossrole renews it, but cannot make it last longer.",
		[]string{"credentials.TestLongDurationIsForTheFirstRoleOnly", "awstest.TestAssumeRoleRefusals", "https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles.html#iam-term-role-chaining"}},
}

// otherClaims are those in the rest of README.md.
var otherClaims = []claim{
	{"It gets the credentials, renews them before they expire,",
		[]string{"credentials.TestChainReadsTheBucket", "credentials.TestCallersNeverWaitAfterTheFirst", "e2e/kubernetes.TestKubernetesFetches"}},
	{"says what to fix when it cannot.",
		[]string{"credentials.TestPrintedFixesWorkAndAdmitNoOneElse"}},
	{"One call renews the expired session, and all others wait for it.",
		[]string{"bench refresh/waiting-callers"}},
	{"Calls hang, or fail even though the session is still valid.",
		[]string{"bench hang/longest-block-s", "bench outage/failed-calls"}},
	{"`AccessDenied` does not say which policy or statement is to blame.",
		[]string{"awstest.TestDeniedMessages"}},
	{"cfg works with every client of the SDK",
		[]string{"credentials.TestChainReadsTheBucket", "credentials.TestQueryProtocolRecovers", "credentials.TestJSONProtocolRecovers"}},
	{"the error quotes AWS and gives the command or statement that fixes it:",
		[]string{".TestErrorInReadme", "credentials.TestPrintedFixesWorkAndAdmitNoOneElse"}},
	{"the following, which use an in-memory AWS:",
		[]string{"examples/quickstart.TestScenario"}},
	{"| the other account trusts | each cluster's issuer | one role | one role | one role |",
		[]string{"cmd/crossrole.TestSetupPoliciesAdmitThePod", "credentials.TestPodIdentity", "credentials.TestNodeRole"}},
	{"| longest session | 12 hours | 1 hour | set by EKS; 1 hour if chained | set by EC2; 1 hour if chained |",
		[]string{"credentials.TestLongDurationIsForTheFirstRoleOnly", "https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_update-role-settings.html"}},
	{"a new cluster then requires no change in the other account.",
		[]string{"credentials.TestHubRequestIsTheSameFromBlueAndGreen", "examples/bluegreen.TestMove", "e2e/kubernetes.TestBlueGreen"}},
	{"A node role is shared by all pods on the node.",
		[]string{"https://docs.aws.amazon.com/eks/latest/best-practices/identity-and-access-management.html"}},
	{"The library never falls back to another source.",
		[]string{"credentials.TestNoFailureSelectsAnotherSource", "credentials.TestNodeRoleIsNeverTheWayOut"}},
	{"tries every hop from the pod and says what to fix.",
		[]string{"cmd/crossrole.TestScripts/doctor"}},
	{"prints everything that you need to apply for a route, as a shell script, [Terraform or JSON](docs/terraform.md).",
		[]string{"cmd/crossrole.TestSetupGolden", "cmd/crossrole.TestSetupPoliciesAdmitThePod", "e2e/clients.TestClientsSetup", "e2e/clients.TestClientsTerraform"}},
	{"are for [other languages](docs/serve.md).",
		[]string{"cmd/crossrole.TestScripts/exec", "cmd/crossrole.TestScripts/serve", "e2e/clients.TestClientsExec", "e2e/clients.TestClientsServe"}},
	{"serves an in-memory AWS to [tests in any language](docs/emulate.md).",
		[]string{"cmd/crossrole.TestEmulate", "e2e/clients.TestClientsEmulateCLI", "e2e/clients.TestClientsEmulateJavaScript", "e2e/clients.TestClientsEmulateBoto3"}},
	{"during a renewal, 0 of 50 callers wait (with the SDK: all 50);",
		[]string{"bench refresh/waiting-callers"}},
	{"1 GiB from S3 at 1,461 MB/s (903–1,791 in five runs; SDK: 982).",
		[]string{"bench s3/capped-mbps-1024"}},
}

// pageClaims are claims of the pages in docs/ that are not obvious from a command or a test
// that the page names, by page.
var pageClaims = map[string][]claim{
	"blue-green.md": {
		{"the process needs no restart: it logs the change once and sends the event `issuer-changed`",
			[]string{"credentials.TestEvents", "examples/bluegreen.TestMove", "e2e/kubernetes.TestBlueGreen"}},
	},
	"controllers.md": {
		{"If it returns an expired token, it is called once more in that refresh; then callers get `TokenExpired`.",
			[]string{"credentials.TestTokenFunctionReturnsExpired"}},
		{"An error from the function, a panic, or a late return is reported as `TokenUnreadable`.",
			[]string{"credentials.TestTokenFunctionFails", "credentials.TestTokenFunctionHangs"}},
		{"The tests in `e2e/kubernetes` run it against a real API server",
			[]string{"e2e/kubernetes.TestKubernetesController"}},
	},
	"errors.md": {
		{"`errors.Is(err, credentials.TrustDenied)` checks its kind.",
			[]string{"credentials.TestEachFailureHasItsKindAndItsRetries"}},
		{"Two failures with the same cause have the same text;",
			[]string{"credentials.TestRefusalsOfOneCauseAreEqual", "credentials.TestUnreachableTextIsSteady"}},
		{"If the token was issued for the API server, no fix suggests registering that audience as a client ID:",
			[]string{"credentials.TestPrintedFixesWorkAndAdmitNoOneElse"}},
	},
	"faq.md": {
		{"crossrole never does; its error says which variables the pod lacks.",
			[]string{"credentials.TestIdentityFromTheEnvironment", "credentials.TestNodeRoleIsNeverTheWayOut"}},
		{"a chain retries at least every 20 seconds;",
			[]string{"credentials.TestBackWithinSeconds"}},
		{"in a `Pool`, a role that denied access is retried after at most 15 minutes.",
			[]string{"credentials.TestPoolRemembersDenialsLonger"}},
		{"`crossrole setup` warns at 80%.",
			[]string{"cmd/crossrole.TestSetupWarnsOfSize"}},
	},
	"fleet.md": {
		{"using 5,000 targets takes 5,001 STS calls instead of 10,000.",
			[]string{"credentials.TestPoolSharesTheHub", "credentials.TestWarmFiveThousand", "bench fanout/sts-calls"}},
		{"the first use of a role takes priority over background renewals.",
			[]string{"credentials.TestFirstUseGoesBeforeRenewals"}},
		{"An evicted chain keeps working for anyone who still holds it.",
			[]string{"credentials.TestPoolLetsGo"}},
		{"| STS requests in the busiest minute, as a multiple of the mean, from the second hour on | 1.21 | 60.2 |",
			[]string{"bench fleet/peak-over-mean"}},
		{"| time from its end until every pod has credentials | 20.2 s | 16.2 s |",
			[]string{"bench fleet/recovery-s"}},
	},
	"many-clusters.md": {
		{"| 2,048 characters (default) | 4 |",
			[]string{"cmd/crossrole.TestClustersPerHubRole"}},
		{"warn on standard error when a trust policy reaches 80% of the default limit.",
			[]string{"cmd/crossrole.TestSetupWarnsOfSize"}},
	},
	"operating.md": {
		{"the first session at least 7.5 minutes before it expires, later ones between 15 and 7.5 minutes before.",
			[]string{"credentials.TestDueIsDrawn"}},
		{"`chain.Status().Healthy()` reports whether the last hop has a session that has not expired,",
			[]string{"credentials.TestHealthy"}},
		{"has the rules, tested with Prometheus' own engine (`make e2e-observe`).",
			[]string{"e2e/observe.TestAlerts", "cmd/crossrole.TestAlertsUseMetricsThatExist"}},
		{"a slow one does not delay requests.",
			[]string{"credentials.TestRequestsDoNotWaitForReports"}},
	},
	"outages.md": {
		{"Callers keep the valid session and do not wait.",
			[]string{"credentials.TestOutageIsNotSeenWhileTheSessionIsValid", "credentials.TestRegionAwayForHours"}},
		{"First session within a second if the region refuses connections, within about 10 seconds if it hangs",
			[]string{"credentials.TestFallbackRegion", "bench region/first-s-refused", "bench region/first-s-hangs"}},
		{"Up to four attempts within two seconds (three within 30 if STS hangs), then as above",
			[]string{"credentials.TestExpiredSessionAfterAnIdleDay"}},
		{"The next attempt succeeds, at most 20 seconds later, or 30 if STS did not respond at all;",
			[]string{"credentials.TestBackWithinSeconds"}},
		{"A denial is final: no further region is asked.",
			[]string{"credentials.TestNoFallbackOnADenial"}},
		{"it is not asked for that account again until the program restarts.",
			[]string{"credentials.TestFallbackRegionThatIsDisabled", "credentials.TestRegionDisabledByOneAccount"}},
		{"A chain's **first** session is retried until `Refresh.Timeout` after any failure that may clear up on its own:",
			[]string{"credentials.TestFirstSessionIsPatient"}},
		{"Failures that will not clear up end the retries immediately:",
			[]string{"credentials.TestFirstSessionEndsAtOnce"}},
		{"Without it, a denial fails immediately.",
			[]string{"credentials.TestRetryDenied"}},
	},
	"outside-eks.md": {
		{"creates more than a hundred pods on a real API server and compares each with what Amazon's webhook did to the same pod.",
			[]string{"e2e/kubernetes.TestKubernetesPolicy"}},
	},
	"serve.md": {
		{"removes the variables that select other credentials",
			[]string{"cmd/crossrole.TestExecHidesEveryOtherIdentity", "cmd/crossrole.TestScripts/exec"}},
		{"reaps orphaned processes without losing the program's exit status, and forwards signals to the program exactly once,",
			[]string{"cmd/crossrole.TestExecAsInitReapsOrphans", "cmd/crossrole.TestExecAsInitPassesEverySignalOnce"}},
		{"It closes a connection that has sent no request within five seconds. When there are more than 256 connections, it closes the one that has waited longest.",
			[]string{"cmd/crossrole/internal/credserver.TestSlowPeers"}},
		{"It logs no secret.",
			[]string{"cmd/crossrole/internal/credserver.TestAttacker"}},
		{"the one that a program gets has at least 20 minutes left.",
			[]string{"cmd/crossrole/internal/credserver.TestSessionsAreLongEnough"}},
		{"the response is immediate, even if STS is down.",
			[]string{"cmd/crossrole/internal/credserver.TestOutage"}},
		{"a request waits for up to ten seconds and then gets `503`,",
			[]string{"cmd/crossrole/internal/credserver.TestFailures"}},
		{"A restart of the sidecar, even by `kill -9`, costs one new session per hop and nothing else.",
			[]string{"cmd/crossrole.TestServeIsKilledAndStartedAgain"}},
		{"Each role is renewed at most once a minute (`429` before that), and requests from browsers are refused.",
			[]string{"cmd/crossrole/internal/credserver.TestRenewalIsNoWeapon"}},
	},
	"terraform.md": {
		{"The configuration requires version 6.2.0 or later of the AWS provider.",
			[]string{"cmd/crossrole.TestSetupRequiresProviderVersion"}},
	},
}

// TestClaims finds every claim in its page, and the test, row or page of AWS that proves it.
func TestClaims(t *testing.T) {
	all := pages(t)
	readme := all["README.md"]
	_, section, _ := strings.Cut(readme, "\n## Guarantees and limits\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for _, c := range guarantees {
		if !strings.Contains(section, c.words) {
			t.Errorf("README.md no longer guarantees %q: change the table of this test as well", c.words)
		}
		section = strings.Replace(section, c.words, "", 1)
	}
	if rest := strings.TrimSpace(strings.ReplaceAll(section, "-", "")); rest != "" {
		t.Errorf("README.md guarantees something without a proof: add it to the table of this test:\n%s", rest)
	}
	rows := benchRows(t)
	check := func(page string, claims []claim) {
		for _, c := range claims {
			if !strings.Contains(all[page], c.words) {
				t.Errorf("%s no longer says %q: change the table of this test as well", page, c.words)
			}
			if len(c.proof) == 0 {
				t.Errorf("%s: %q: no proof", page, c.words)
			}
			for _, proof := range c.proof {
				if problem := missing(proof, all, rows); problem != "" {
					t.Errorf("%s: %q: %s: %s", page, c.words, proof, problem)
				}
			}
		}
	}
	check("README.md", guarantees)
	check("README.md", otherClaims)
	for page, claims := range pageClaims {
		check(filepath.Join("docs", page), claims)
	}
	// The figures are those of the page.
	for _, row := range []string{
		"| `refresh/waiting-callers` | 0 | 50 |",
		"| `s3/capped-mbps-1024` | 1,461 (903–1,791) MB/s | 982 (889–982) MB/s |",
	} {
		if !strings.Contains(all[filepath.Join("docs", "benchmarks.md")], row) {
			t.Errorf("docs/benchmarks.md does not have the figures of README.md: %s", row)
		}
	}
}

// missing returns what is wrong with a proof; empty: nothing.
func missing(proof string, pages map[string]string, rows func(string) bool) string {
	row, isRow := strings.CutPrefix(proof, "bench ")
	switch {
	case isRow && !rows(row):
		return "bench has no such row"
	case isRow && !strings.Contains(pages[filepath.Join("docs", "benchmarks.md")], "`"+row+"`"):
		return "docs/benchmarks.md has no such row"
	case isRow:
		return ""
	case !strings.HasPrefix(proof, "https://docs.aws.amazon.com/"):
		return findTest(proof)
	case !linked(pages, proof):
		return "no page links to it"
	}
	return ""
}

// linked reports whether a page links to url.
func linked(pages map[string]string, url string) bool {
	for _, text := range pages {
		if strings.Contains(text, "]("+url+")") {
			return true
		}
	}
	return false
}

// findTest returns what is wrong with the name of a test: its directory, a dot, its name
// and, for TestScripts, a slash and a script.
func findTest(name string) (problem string) {
	i := strings.LastIndexByte(name, '.')
	dir := path.Clean("./" + name[:i])
	function, script, _ := strings.Cut(name[i+1:], "/")
	files, err := filepath.Glob(filepath.Join(filepath.FromSlash(dir), "*_test.go"))
	if err != nil || len(files) == 0 {
		return "no tests in " + dir
	}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			return err.Error()
		}
		for _, d := range parsed.Decls {
			if f, ok := d.(*ast.FuncDecl); !ok || f.Recv != nil || f.Name.Name != function || !strings.HasPrefix(function, "Test") {
				continue
			}
			if script == "" {
				return ""
			}
			if _, err := os.Stat(filepath.Join(filepath.FromSlash(dir), "testdata", "script", script+".txtar")); err != nil {
				return err.Error()
			}
			return ""
		}
	}
	return "no such test"
}

// benchRows returns a function that reports whether a string in the sources of bench is the
// name of a row. A number may be filled in ("s3/capped-mbps-%d").
func benchRows(t *testing.T) func(name string) bool {
	t.Helper()
	var names []*regexp.Regexp
	for _, file := range sources(t, "bench") {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING {
				if text, err := strconv.Unquote(literal.Value); err == nil && regexp.MustCompile(`^[a-z0-9]+/[a-z0-9%-]+$`).MatchString(text) {
					names = append(names, regexp.MustCompile("^"+strings.ReplaceAll(text, "%d", `\d+`)+"$"))
				}
			}
			return true
		})
	}
	return func(name string) bool {
		for _, n := range names {
			if n.MatchString(name) {
				return true
			}
		}
		return false
	}
}
