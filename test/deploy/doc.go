// Package deploy tests the files of the folder deploy: those that watch a broker, start one, and stand in front of one.
// Programs that a test needs (promtool, nginx, caddy, helm) come from the system; without one the test is skipped, unless
// WEIR_DEPLOY_ALL is set, as in CI.
package deploy
