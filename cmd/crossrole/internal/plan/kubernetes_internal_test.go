package plan

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// The policy that setup prints is the one of examples/deploy, which e2e/kubernetes holds
// to what Amazon's webhook does.
func TestInjectionIsTheExample(t *testing.T) {
	example, err := os.ReadFile("../../../../examples/deploy/pod-identity-policy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if string(example) != injection {
		t.Error("the policies differ; run: cp examples/deploy/pod-identity-policy.yaml cmd/crossrole/internal/plan/")
	}
}

// The region is the only difference between the printed policy and the file, and stays
// one string whatever it contains.
func TestPolicyRegion(t *testing.T) {
	for _, region := range append(hostile, "eu-west-1") {
		r := &Request{Region: region, Partition: "aws"}
		printed := r.policy()
		var policy struct {
			Spec struct {
				Variables []struct{ Name, Expression string }
			}
		}
		if err := yaml.NewDecoder(strings.NewReader(printed)).Decode(&policy); err != nil {
			t.Errorf("%q: %v", region, err)
			continue
		}
		first := policy.Spec.Variables[0]
		if got, err := strconv.Unquote(first.Expression); first.Name != "region" || err != nil || got != r.region() {
			t.Errorf("%q: the variable %s is %s, %v", region, first.Name, first.Expression, err)
		}
		was, now := strings.Split(injection, "\n"), strings.Split(printed, "\n")
		for i := range was {
			if len(was) != len(now) || was[i] != now[i] && !strings.Contains(was[i], `'"us-east-1"'`) {
				t.Errorf("%q: line %d of %d is %s, was %s", region, i+1, len(now), now[i], was[i])
				break
			}
		}
	}
}
