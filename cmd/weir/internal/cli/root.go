package cli

import "github.com/spf13/cobra"

const rootHelp = `weir is a broker of durable streams on NATS JetStream.

'weir serve' runs one. The other verbs are clients: they talk to a broker over NATS and follow the
conventions of S2's CLI. A stream is named by a URI, s2://basin/stream; everything after the basin,
slashes included, is the stream's name.

Clients find NATS as the nats CLI does: flags, then NATS_URL and its sisters, then the selected NATS
context, then nats://127.0.0.1:4222. A broker that checks access needs an access token: --access-token-file,
$WEIR_ACCESS_TOKEN or $S2_ACCESS_TOKEN.

Exit codes: 0 done; 1 failed; 2 mistake on the command line; 3 no broker reached; 4 a condition
(--match-seq-num, --fencing-token) did not hold; 5 the start of a read is not written yet;
130 interrupted.`

const rootExample = `  weir serve --store-dir ./data
  weir create-basin demo-basin --create-stream-on-append
  printf 'a\nb\nc\n' | weir append s2://demo-basin/greetings
  weir read s2://demo-basin/greetings --seq-num 0 --count 3
  weir tail s2://demo-basin/greetings -f`

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "weir",
		Short:         "Durable streams on NATS JetStream",
		Long:          rootHelp,
		Example:       rootExample,
		Version:       a.env.Version,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(a.env.Stdin)
	root.SetOut(a.env.Stdout)
	root.SetErr(a.env.Stderr)
	root.SetVersionTemplate("weir {{.Version}}\n")
	root.PersistentFlags().BoolVar(&a.json, "json", false, "print JSON with S2's field names, errors too")
	root.AddGroup(
		&cobra.Group{ID: "server", Title: "Server:"},
		&cobra.Group{ID: "basins", Title: "Basins:"},
		&cobra.Group{ID: "streams", Title: "Streams:"},
		&cobra.Group{ID: "records", Title: "Records:"},
		&cobra.Group{ID: "access", Title: "Access:"},
		&cobra.Group{ID: "setup", Title: "Setup:"},
		&cobra.Group{ID: "usage", Title: "Usage:"},
	)
	add := func(group string, commands ...*cobra.Command) {
		for _, c := range commands {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add("server", a.serve(), a.health(), a.doctor(), a.backup(), a.restore(), a.repair(), a.cluster())
	add("basins", a.ls(), a.listBasins(), a.createBasin(), a.getBasinConfig(), a.reconfigureBasin(), a.deleteBasin(),
		a.listLocations(), a.getDefaultLocation(), a.setDefaultLocation())
	add("streams", a.listStreams(), a.createStream(), a.fork(), a.getStreamConfig(), a.reconfigureStream(), a.deleteStream())
	add("records", a.append(), a.read(), a.tail(), a.checkTail(), a.trim(), a.fence(), a.close(), a.bench())
	add("setup", a.apply(), a.diff())
	add("usage", a.getAccountMetrics(), a.getBasinMetrics(), a.getStreamMetrics())
	add("access", a.listAccessTokens(), a.issueAccessToken(), a.confirmAccessToken(), a.revokeAccessToken())
	root.AddCommand(a.version())
	a.completeFromBroker(root)
	explainMistakes(root)
	return root
}

// client gives a verb the flags that say which broker it talks to.
func (a *app) client(c *cobra.Command) *cobra.Command {
	a.dial.AddFlags(c.Flags(), a.getenv)
	prefix := a.getenv("WEIR_SUBJECT_PREFIX")
	if prefix == "" {
		prefix = "s2"
	}
	c.Flags().StringVar(&a.dial.SubjectPrefix, "subject-prefix", prefix, "first token of the broker's subjects ($WEIR_SUBJECT_PREFIX)")
	return c
}
