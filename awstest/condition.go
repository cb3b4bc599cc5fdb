package awstest

import (
	"strconv"
	"time"
)

// conditionKeys are the condition keys of a request.
type conditionKeys map[string][]string

// globalKeys are those that every request has.
func (r *request) globalKeys() conditionKeys {
	keys := conditionKeys{
		"aws:CurrentTime":     {r.now.UTC().Format(time.RFC3339)},
		"aws:EpochTime":       {strconv.FormatInt(r.now.Unix(), 10)},
		"aws:SecureTransport": {strconv.FormatBool(r.secure)},
	}
	if agent := r.UserAgent(); agent != "" {
		keys["aws:UserAgent"] = []string{agent}
	}
	if r.region != "" {
		keys["aws:RequestedRegion"] = []string{r.region}
	}
	return keys
}

func (k conditionKeys) setDuration(life time.Duration) {
	if life > 0 {
		k["sts:DurationSeconds"] = []string{strconv.Itoa(int(life.Seconds()))}
	}
}

// setTags sets the keys of the tags that the request itself carries.
func (k conditionKeys) setTags(r *request, tags sessionTags) {
	var names []string
	for _, m := range r.list("Tags") {
		name := r.param(m + ".Key")
		names = append(names, name)
		k["aws:RequestTag/"+name] = []string{r.param(m + ".Value")}
	}
	if names != nil {
		k["aws:TagKeys"] = names
	}
	var transitive []string
	for _, t := range tags {
		if t.transitive {
			transitive = append(transitive, t.key)
		}
	}
	if transitive != nil {
		k["sts:TransitiveTagKeys"] = transitive
	}
}
