package client

import "time"

const LookEvery = lookEvery

// GiveAnswers sets how long after the end of its connection an answer may come. No request may be under way.
func (c *Client) GiveAnswers(grace time.Duration) { c.grace = grace }

// AwaitAnswers sets how long the client waits for answers before it leaves a server. No request may be under way.
func (c *Client) AwaitAnswers(d time.Duration) { c.gate.patience = d }
