// Package metrics exports the state of a chain's sessions to Prometheus: how long each
// hop's session is still valid, which refreshes fail and why, how long STS takes, how many
// callers wait.
//
//	collector := metrics.New()
//	cfg, err := credentials.Wrap(base, credentials.Assume(target), collector.Observe)
//	…
//	chain, _ := credentials.ChainOf(cfg)
//	collector.Watch(chain)
//	prometheus.MustRegister(collector)
//
// With a [credentials.Pool], apply Observe to its Options; WatchPool watches all its
// chains.
//
// Every metric has the labels hop ("1" is the source's) and role (the ARN that the hop
// requests; empty where the source names none):
//
//	crossrole_session_remaining_seconds   until the session expires; 0: there is none; +Inf: keys without an expiry; by last ("true", "false")
//	crossrole_failing_seconds             since the first refresh failed after the last success; 0: none did
//	crossrole_next_attempt_seconds        until a refresh is tried again after failures; 0: no pause
//	crossrole_waiting_callers             callers that wait for a session now
//	crossrole_sts_region                  1 for each region whose STS the last refresh asked last, by region
//	crossrole_refreshes_total             refreshes by result ("success", "failure") and kind (of a failure)
//	crossrole_exchange_duration_seconds   from request to response of a refresh's last exchange, by result
//	crossrole_invalidations_total         sessions discarded before their expiry, because a service or STS refused them or by Chain.Invalidate
//	crossrole_token_rotations_total       changes of the token
//	crossrole_issuer_changes_total        changes of the cluster that issues the tokens
//
// The first five are the state at the time of the scrape. A program is affected when the
// session of a chain's last hop expires. Hops with the same number and role are one series,
// which shows the worst of them (the shortest session, the longest failure, the most
// callers). The series of a chain end some time after the chain is no longer used, when the
// garbage collector has found out: the number of series is limited by that of the chains in
// use.
//
// No other package of the library needs the Prometheus client, so a program without metrics
// does not depend on it. The names of the metrics are part of the module's public API;
// examples/deploy/alerts.yaml uses them.
package metrics
