// Judges checkpoints and proofs with golang.org/x/mod/sumdb, which shares no code with the product.
//
//	sumdb VKEY < {"checkpoint","old":{"checkpoint","proof":[…]}|null,"leaves":[{"data","index","proof":[…]}…]}
//
// Checkpoints are signed notes, hashes base64. Exit code 0 when all of it holds; else 1 with what does not.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type earlier struct {
	Checkpoint string   `json:"checkpoint"`
	Proof      []string `json:"proof"`
}

type leaf struct {
	Data  string   `json:"data"`
	Index int64    `json:"index"`
	Proof []string `json:"proof"`
}

type input struct {
	Checkpoint string   `json:"checkpoint"`
	Old        *earlier `json:"old"`
	Leaves     []leaf   `json:"leaves"`
}

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func run(vkey string) error {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return err
	}
	var in input
	if err := json.NewDecoder(os.Stdin).Decode(&in); err != nil {
		return err
	}
	tree, err := open(in.Checkpoint, verifier)
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	if in.Old != nil {
		if err := checkOld(in.Old, verifier, tree); err != nil {
			return fmt.Errorf("old checkpoint: %w", err)
		}
	}
	for _, leaf := range in.Leaves {
		proof, err := hashes(leaf.Proof)
		if err != nil {
			return err
		}
		hash := tlog.RecordHash([]byte(leaf.Data))
		if err := tlog.CheckRecord(proof, tree.N, tree.Hash, leaf.Index, hash); err != nil {
			return fmt.Errorf("leaf %d: %w", leaf.Index, err)
		}
	}
	return nil
}

func checkOld(old *earlier, verifier note.Verifier, tree tlog.Tree) error {
	before, err := open(old.Checkpoint, verifier)
	if err != nil {
		return err
	}
	proof, err := hashes(old.Proof)
	if err != nil {
		return err
	}
	return tlog.CheckTree(proof, tree.N, tree.Hash, before.N, before.Hash)
}

func open(text string, verifier note.Verifier) (tree tlog.Tree, err error) {
	opened, err := note.Open([]byte(text), note.VerifierList(verifier))
	if err != nil {
		return tree, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) < 4 || lines[0] != verifier.Name() {
		return tree, fmt.Errorf("not a checkpoint of %s", verifier.Name())
	}
	if tree.N, err = strconv.ParseInt(lines[1], 10, 64); err != nil {
		return tree, err
	}
	tree.Hash, err = tlog.ParseHash(lines[2])
	return tree, err
}

func hashes(texts []string) ([]tlog.Hash, error) {
	var found []tlog.Hash
	for _, text := range texts {
		hash, err := tlog.ParseHash(text)
		if err != nil {
			return nil, err
		}
		found = append(found, hash)
	}
	return found, nil
}
