package anchor_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/crossrole/crossrole/internal/anchor"
)

func TestOf(t *testing.T) {
	const page = `# Direct, hub, or Pod Identity?
## TrustDenied
## ` + "`aws sts`: what's new" + `
### The [page](other.md#x) of 80 % — über_all ##
## Example
##no heading
` + "```sh\n# a comment\n```\n~~~\n## also not\n```\n~~~" + `
## Example
	# code
`
	want := strings.Fields("aws-sts-whats-new direct-hub-or-pod-identity example example-1 the-page-of-80---über_all trustdenied")
	if got := slices.Sorted(maps.Keys(anchor.Of(page))); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
