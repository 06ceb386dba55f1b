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

// PrivateAccount is the NATS account that holds the storage when the NATS configuration has accounts or
// authorization.
const PrivateAccount = "WEIR"

// globalAccount is where NATS puts users without an account of their own.
const globalAccount = "$G"

// anybody stands in the keyring for clients that need not say who they are; no account can have this name.
const anybody = "*"

// keyring holds the keys with which the broker enters the accounts of its own embedded server. They live in memory, as
// long as the broker, and are good for in-process connections only.
//
// Keys rather than passwords, because they also work where users are known by their TLS certificate.
type keyring map[string]nkeys.KeyPair

// doorOf is the entry in the keyring with which a door enters the account, which may do less than the others.
func doorOf(account string) string { return "\x00" + account }

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

// accountPlan says where things live in the embedded server.
type accountPlan struct {
	storage  string   // the account of the storage
	services []string // the accounts that get a door
}

// needsPrivateAccount reports whether the configuration tells clients apart, so that the storage can be kept from them.
func needsPrivateAccount(o *server.Options) bool {
	return len(o.Accounts) > 0 || authRequired(o) || o.AuthCallout != nil
}

func authRequired(o *server.Options) bool {
	return len(o.Users) > 0 || len(o.Nkeys) > 0 || o.Username != "" || o.Authorization != ""
}

// planAccounts adds the private account and the broker's own users to o if the configuration has accounts or
// authorization, and says which account is for what.
//
// Without either the storage is in the global account, and who may connect is for cr to say. Without a root token that is
// everybody; clients are told then that they need not say who they are.
func planAccounts(o *server.Options, keys keyring, cr *credentials) (accountPlan, error) {
	if !needsPrivateAccount(o) {
		o.CustomClientAuthentication = cr
		plan := accountPlan{storage: globalAccount, services: []string{globalAccount}}
		if !cr.open {
			return plan, nil
		}
		return plan, addAnybody(o, keys)
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
	services := slices.Sorted(maps.Keys(named))

	if !authRequired(o) && o.NoAuthUser == "" && o.AuthCallout == nil {
		// Accounts without any user: clients need not say who they are and land in the global account. Our users would
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

	// Only the configuration parser can give an account JetStream for good (surviving reloads).
	if err := o.ProcessConfigString("accounts { " + PrivateAccount + " { jetstream: enabled } }"); err != nil {
		return accountPlan{}, fmt.Errorf("add the account %s: %w", PrivateAccount, err)
	}
	named[PrivateAccount] = o.Accounts[len(o.Accounts)-1]

	for _, name := range slices.Sorted(maps.Keys(named)) {
		if err := addKey(o, keys, name, named[name], nil); err != nil {
			return accountPlan{}, err
		}
	}
	for _, name := range services {
		if err := addKey(o, keys, doorOf(name), named[name], cr.door); err != nil {
			return accountPlan{}, err
		}
	}
	return accountPlan{storage: PrivateAccount, services: services}, nil
}

// addAnybody makes a user of those who need not say who they are. It has a key that nobody uses, so that nobody can log in
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
