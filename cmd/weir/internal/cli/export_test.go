package cli

import "github.com/spf13/cobra"

// Root is the whole command, for tests that walk it.
func Root(env Env) *cobra.Command { return (&app{env: env}).root() }

// AwaitBalanced is the part of weir cluster balance behind the request.
var AwaitBalanced = awaitBalanced
