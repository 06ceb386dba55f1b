package natsd

import (
	"fmt"
	"maps"
	"slices"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// PrivateAccount is the NATS account that holds the storage. Only the broker enters it: no client can look at the streams
// behind weir, purge them, or have a stream of its own publish into them.
const PrivateAccount = "WEIR"

// clientsAccount is the NATS account of all clients where the NATS configuration has neither accounts nor authorization, and
// nothing is checked. It has JetStream, for streams of their own. The embedding program enters it too.
const clientsAccount = "WEIR-CLIENTS"

// globalAccount is where NATS puts users without an account of their own.
const globalAccount = "$G"

// anybody stands in the keyring for clients without credentials; no account can have this name.
const anybody = "*"

// keyring holds the keys with which the broker enters the accounts of its own embedded server. They live in memory, as
// long as the broker, and are good for in-process connections only.
//
// Keys rather than passwords, because they also work where users are known by their TLS certificate.
type keyring map[string]nkeys.KeyPair

// doorOf is the entry in the keyring with which a door enters the account, which may do less than the others.
func doorOf(account string) string { return "\x00" + account }

// tapOf is the entry with which live taps enter it, which may publish there and nothing else.
func tapOf(account string) string { return "\x01" + account }

// forAccount returns the key for an account, and makes it when asked for the first time.
func (k keyring) forAccount(account string) (kp nkeys.KeyPair, public string, err error) {
	kp, ok := k[account]
	if !ok {
		if kp, err = nkeys.CreateUser(); err != nil {
			return nil, "", fmt.Errorf("make a key for the account %s: %w", account, err)
		}
		k[account] = kp
	}
	public, err = kp.PublicKey()
	return kp, public, err
}

// login is the client option that enters the account.
func (k keyring) login(account string) (nats.Option, error) {
	kp, public, err := k.forAccount(account)
	if err != nil {
		return nil, err
	}
	return nats.Nkey(public, kp.Sign), nil
}

// accountPlan says where things live in the embedded server. The storage is in [PrivateAccount] in any case.
type accountPlan struct {
	ownUsers bool     // the configuration has accounts or users of its own
	services []string // the accounts that get a door
	clients  string   // the account of the embedding program
}

// hasUsers reports whether the configuration has users, so that it decides which clients may connect.
func hasUsers(o *server.Options) bool {
	return len(o.Users) > 0 || len(o.Nkeys) > 0 || o.Username != "" || o.Authorization != "" || o.NoAuthUser != "" || o.AuthCallout != nil
}

// planAccounts adds the private account and the broker's own users to o, and returns the purpose of each account. Where the
// configuration has neither accounts nor users, cr decides which clients may connect: holders of access tokens, or everybody.
func planAccounts(o *server.Options, keys keyring, cr *credentials) (plan accountPlan, err error) {
	plan.ownUsers = len(o.Accounts) > 0 || hasUsers(o)
	own := []string{PrivateAccount}
	if !plan.ownUsers {
		own = append(own, clientsAccount)
	}
	system := o.SystemAccount
	if system == "" {
		system = server.DEFAULT_SYSTEM_ACCOUNT
	}
	named := map[string]*server.Account{globalAccount: nil}
	for _, a := range o.Accounts {
		if a.Name != system {
			named[a.Name] = a
		}
	}
	plan.services, plan.clients = slices.Sorted(maps.Keys(named)), globalAccount
	open := !hasUsers(o)
	for _, name := range own {
		// Only the configuration parser can give an account JetStream for good (surviving reloads).
		if err := o.ProcessConfigString("accounts { " + name + " { jetstream: enabled } }"); err != nil {
			return accountPlan{}, fmt.Errorf("add the account %s: %w", name, err)
		}
		named[name] = o.Accounts[len(o.Accounts)-1]
	}
	if !plan.ownUsers {
		plan.services, plan.clients = []string{clientsAccount}, clientsAccount
		o.CustomClientAuthentication = cr
		if cr.open {
			return plan, addAnybody(o, keys) // clients learn that they need no credentials
		}
		return plan, nil
	}
	if open {
		// Accounts without any user: clients need no credentials and land in the global account. Our users would
		// make the server ask everybody, so these clients get a name.
		if err := addAnybody(o, keys); err != nil {
			return accountPlan{}, err
		}
	}
	if o.Username != "" {
		// The server looks at its single user only while it has no list of users.
		o.Users = append(o.Users, &server.User{Username: o.Username, Password: o.Password, ProxyRequired: o.ProxyRequired})
		o.Username, o.Password = "", ""
	}
	for _, name := range slices.Sorted(maps.Keys(named)) {
		if err := addKey(o, keys, name, named[name], nil); err != nil {
			return accountPlan{}, err
		}
	}
	for _, name := range plan.services {
		if err := addKey(o, keys, doorOf(name), named[name], cr.door); err != nil {
			return accountPlan{}, err
		}
		if err := addKey(o, keys, tapOf(name), named[name], cr.tap); err != nil {
			return accountPlan{}, err
		}
	}
	return plan, nil
}

// addAnybody makes a user of the clients without credentials. It has a key that no client has, so that no client can log in
// as it, rather than a password, of which the server warns.
func addAnybody(o *server.Options, keys keyring) error {
	_, public, err := keys.forAccount(anybody) // the same after a reload
	if err != nil {
		return err
	}
	o.NoAuthUser = public
	o.Nkeys = append(o.Nkeys, &server.NkeyUser{Nkey: public})
	return nil
}

// addKey makes the broker a user of an account, nil for the global one. Without permissions it may do everything there.
func addKey(o *server.Options, keys keyring, name string, account *server.Account, p *server.Permissions) error {
	_, public, err := keys.forAccount(name)
	if err != nil {
		return err
	}
	o.Nkeys = append(o.Nkeys, &server.NkeyUser{
		Nkey:                   public,
		Account:                account,
		Permissions:            p,
		AllowedConnectionTypes: map[string]struct{}{jwt.ConnectionTypeInProcess: {}},
	})
	if o.AuthCallout != nil {
		o.AuthCallout.AuthUsers = append(o.AuthCallout.AuthUsers, public)
	}
	return nil
}
