package trust

import "strings"

// arn is an Amazon Resource Name, arn:partition:service:region:account:resource.
type arn struct{ partition, service, region, account, resource string }

// splitARN takes an ARN apart; ok is false unless all six parts are there.
func splitARN(s string) (a arn, ok bool) {
	parts := strings.SplitN(s, ":", 6)
	if len(parts) < 6 || parts[0] != "arn" {
		return arn{}, false
	}
	return arn{parts[1], parts[2], parts[3], parts[4], parts[5]}, true
}

func iamARN(partition, account, resource string) string {
	if partition == "" {
		partition = "aws"
	}
	return "arn:" + partition + ":iam::" + account + ":" + resource
}

func isAccount(s string) bool {
	return len(s) == 12 && strings.Trim(s, "0123456789") == ""
}

func hasWildcard(s string) bool { return strings.ContainsAny(s, "*?") }
