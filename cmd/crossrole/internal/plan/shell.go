package plan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/crossrole/crossrole/trust"
)

// The plan as a POSIX shell script.

const shebang = "#!/bin/sh\n"

// functions are the steps of a script. They need the aws CLI and jq.
const functions = `
# found COMMAND... reports whether what an aws command asks for exists, and puts it into
# the variable got.
found() {
  if got=$("$@" --output json 2>/dev/null); then
    return 0
  fi
  if problem=$("$@" 2>&1 >/dev/null); then
    problem="$*: failed once; run this again"
  fi
  case $problem in
  *NoSuchEntity*) return 1 ;;
  esac
  printf '%s\n' "$problem" >&2
  exit 1
}

# part DOCUMENT FILTER prints a part of a JSON document.
part() {
  printf '%s' "$1" | jq -c "$2"
}

# merge ROLE OLD NEW adds the statements of the policy NEW to the policy OLD of a role. A
# statement with the Sid of a new one is replaced, all others stay as they are. It is an
# error if that would remove a condition, or if a new statement without conditions would
# admit the caller of an old one that has some.
merge() {
  jq -cn --arg role "$1" --argjson old "$2" --argjson new "$3" '
    def list: if type == "array" then . else [.] end;
    def who: .Principal | if type == "object" then map_values(list | sort) else . end;
    def assumes: .Action | list | index("sts:AssumeRole") != null;
    def keys_of: [.Condition // {} | .[] | keys[]];
    if $old.Version != $new.Version then
      error("the policy has the version \($old.Version // "2008-10-17"); change it to \($new.Version) first, which gives ${...} in its statements a meaning")
    else . end |
    [ $old.Statement | list[] | . as $s | $new.Statement | list[] |
      select(.Sid == $s.Sid or
        ((.Condition // {}) == {} and assumes and ($s | assumes) and .Principal != null and who == ($s | who) and ($s.Sid // "" | startswith("Crossrole")))) |
      (keys_of | map(ascii_downcase)) as $has |
      $s | keys_of[] | select(ascii_downcase as $key | all($has[]; . != $key)) | "\($s.Sid) requires \(.)" ] as $lost |
    if $lost != [] then
      error("role \($role): the statement \($lost[0]), and this set-up does not, so more callers could use the role; give setup the flags that require it, or, if it is no longer needed, remove the statement from the policy first")
    else . end |
    ($old.Statement | list) as $have | ($new.Statement | list) as $want |
    $old + {Statement: (
      [$have[] | . as $s | ([$want[] | select(.Sid == $s.Sid)][0] // $s)] +
      [$want[] | select(.Sid as $sid | all($have[]; .Sid != $sid))])}'
}

# same OLD NEW reports whether two JSON documents are equal.
same() {
  jq -en --argjson a "$1" --argjson b "$2" '$a == $b' >/dev/null
}

# provider ARN URL AUDIENCE registers an issuer. Versions of the aws CLI from before April
# 2024 require a thumbprint. IAM uses it only if no public authority signed the issuer's
# certificate. No certificate has the thumbprint 0.
provider() {
  if found aws iam get-open-id-connect-provider "--open-id-connect-provider-arn=$1"; then
    if ! printf '%s' "$got" | jq -e --arg id "$3" '.ClientIDList | index($id)' >/dev/null; then
      aws iam add-client-id-to-open-id-connect-provider "--open-id-connect-provider-arn=$1" "--client-id=$3"
    fi
  elif ! problem=$(aws iam create-open-id-connect-provider "--url=$2" "--client-id-list=$3" 2>&1 >/dev/null); then
    case $problem in
    *--thumbprint-list*)
      aws iam create-open-id-connect-provider "--url=$2" "--client-id-list=$3" --thumbprint-list=0000000000000000000000000000000000000000 >/dev/null
      ;;
    *)
      printf '%s\n' "$problem" >&2
      exit 1
      ;;
    esac
  fi
  echo "issuer $2"
}

# role NAME SECONDS TRUST POLICYNAME POLICY creates a role, or adds to an existing one
# what it lacks.
role() {
  if found aws iam get-role "--role-name=$1"; then
    current=$(part "$got" .Role.AssumeRolePolicyDocument)
    longest=$(part "$got" .Role.MaxSessionDuration)
    merged=$(merge "$1" "$current" "$3")
    if ! same "$current" "$merged"; then
      aws iam update-assume-role-policy "--role-name=$1" "--policy-document=$merged"
    fi
    if [ "$longest" -lt "$2" ]; then
      aws iam update-role "--role-name=$1" "--max-session-duration=$2" >/dev/null
    fi
  else
    aws iam create-role "--role-name=$1" "--max-session-duration=$2" "--assume-role-policy-document=$3" >/dev/null
    aws iam wait role-exists "--role-name=$1"
  fi
  merged=$5
  if found aws iam get-role-policy "--role-name=$1" "--policy-name=$4"; then
    current=$(part "$got" .PolicyDocument)
    merged=$(merge "$1" "$current" "$5")
    if same "$current" "$merged"; then
      echo "role $1"
      return
    fi
  fi
  aws iam put-role-policy "--role-name=$1" "--policy-name=$4" "--policy-document=$merged"
  echo "role $1"
}

# association CLUSTER NAMESPACE SERVICEACCOUNT ROLE TARGET TAGS POLICY associates a service
# account with a role. An association with another role, target or session policy is an
# error.
association() {
  tags=--no-disable-session-tags
  if [ "$6" = true ]; then
    tags=--disable-session-tags
  fi
  all=$(aws eks list-pod-identity-associations "--cluster-name=$1" "--namespace=$2" "--service-account=$3" --output json)
  id=$(printf '%s' "$all" | jq -r '.associations[0].associationId // empty')
  if [ -z "$id" ]; then
    aws eks create-pod-identity-association "--cluster-name=$1" "--namespace=$2" "--service-account=$3" "--role-arn=$4" "--target-role-arn=$5" "$tags" ${7:+"--policy=$7"} >/dev/null
    echo "association of $2/$3"
    return
  fi
  has=$(aws eks describe-pod-identity-association "--cluster-name=$1" "--association-id=$id" --output json)
  other=$(printf '%s' "$has" | jq -r --arg role "$4" --arg target "$5" --argjson untagged "$6" --argjson policy "${7:-null}" '
    .association | ((.policy // "") | if . == "" then null else fromjson end) as $restricts |
    if .roleArn != $role then "the role \(.roleArn)"
    elif (.targetRoleArn // $target) != $target then "the target role \(.targetRoleArn)"
    elif $restricts != null and $restricts != $policy then "another session policy"
    elif .targetRoleArn == $target and (.disableSessionTags // false) == $untagged and $restricts == $policy then "same"
    else "" end')
  case $other in
  same) ;;
  '')
    aws eks update-pod-identity-association "--cluster-name=$1" "--association-id=$id" "--role-arn=$4" "--target-role-arn=$5" "$tags" ${7:+"--policy=$7"} >/dev/null
    ;;
  *)
    echo "the service account $2/$3 has an association with $other; if nothing needs it, delete it first: aws eks delete-pod-identity-association --cluster-name '$1' --association-id $id" >&2
    exit 1
    ;;
  esac
  echo "association of $2/$3"
}
`

// compact returns a policy without white space outside strings, because STS counts it in
// the size of a session policy.
func compact(p *trust.Policy) string {
	var b bytes.Buffer
	if err := json.Compact(&b, []byte(p.String())); err != nil {
		panic(err) // String writes JSON
	}
	return b.String()
}

// script renders accounts as a script that sets up the account of the caller's
// credentials. With the argument kubernetes, it prints the objects for the cluster
// instead, if withManifest.
func (p *Plan) script(accounts []Account, withManifest bool) string {
	var b strings.Builder
	var ids []string
	for _, a := range accounts {
		ids = append(ids, a.ID)
	}
	fmt.Fprintf(&b, shebang+"# Sets up the route %s in account %s. Needs the aws CLI and jq. It may be run again.\n", p.Route, strings.Join(ids, ", then in account "))
	if len(ids) > 1 {
		b.WriteString("# Run it with the credentials of each account, in this order.\n")
	}
	if withManifest {
		b.WriteString("# With the argument kubernetes, it prints what to pipe into kubectl apply -f -\n")
	}
	b.WriteString("set -eu\n")
	if withManifest {
		fmt.Fprintf(&b, "\nif [ \"${1-}\" = kubernetes ]; then\n  printf '%%s' %s\n  exit\nfi\n", shellQuote(string(p.Kubernetes)))
	}
	b.WriteString(functions)
	b.WriteString("\naccount=$(aws sts get-caller-identity --query Account --output text)\ncase $account in\n")
	for _, a := range accounts {
		fmt.Fprintf(&b, "%s)\n", a.ID)
		call := func(function string, args ...string) {
			b.WriteString("  " + function)
			for _, arg := range args {
				b.WriteString(" " + shellQuote(arg))
			}
			b.WriteString("\n")
		}
		for _, provider := range a.Providers {
			for _, id := range provider.ClientIDs {
				call("provider", provider.ARN, provider.URL, id)
			}
		}
		for _, role := range a.Roles {
			call("role", role.Name, fmt.Sprint(role.MaxSessionDuration), role.Trust.String(), role.PolicyName, role.Policy.String())
		}
		for _, as := range a.Associations {
			policy := ""
			if as.Policy != nil {
				policy = compact(as.Policy)
			}
			call("association", as.ClusterName, as.Namespace, as.ServiceAccount, as.RoleARN, as.TargetRoleARN, fmt.Sprint(as.DisableSessionTags), policy)
		}
		b.WriteString("  ;;\n")
	}
	fmt.Fprintf(&b, "*)\n  echo \"these are credentials of account $account; run this with those of account %s\" >&2\n  exit 1\n  ;;\nesac\n", strings.Join(ids, " or "))
	return b.String()
}
