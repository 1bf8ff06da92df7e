package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"supstream/internal/mirror"
)

// firstKill is when supstream run is killed in a demo without --for; with it, after half the time.
const firstKill = 15 * time.Second

// play makes traffic until its time is over or ctx ends, and kills supstream run once on the way.
func (d *demo) play(ctx context.Context) error {
	player, err := d.mirror.Player(mirror.PlayerOptions{Seed: d.seed, Rate: d.rate, Connect: d.connect(mirrorDatabase)})
	if err != nil {
		return err
	}
	d.lookAround()
	playing, stop := context.WithCancel(ctx)
	defer stop()
	how, killAfter := "until Ctrl-C", firstKill
	if d.length > 0 {
		end := time.AfterFunc(d.length, stop)
		defer end.Stop()
		how, killAfter = "for "+d.length.String(), d.length/2
	}
	kill := time.NewTimer(killAfter)
	defer kill.Stop()
	d.screen.line("\nTraffic %s, about %g transactions per second: registrations, corrections, moves, batch jobs.\n\n%s", how, d.rate, viewHeader)
	played := make(chan error, 1)
	go func() { played <- player.Play(playing) }()
	v := &view{demo: d, player: player, begun: time.Now(), before: sample{at: time.Now()}}
	if r, err := d.meter.read(ctx); err == nil {
		v.before.readings = r // the load does not count as traffic
	}
	tick := time.NewTicker(d.screen.every())
	defer tick.Stop()
	for {
		select {
		case err := <-played:
			if err != nil {
				return err
			}
			n := total(player.Counts())
			d.screen.line("\nTraffic ended: %s transactions, %s rows changed, supstream killed %s.", thousands(n.Transactions), thousands(n.Rows), times(d.kills))
			return nil
		case <-d.child.done:
			stop()
			return errors.Join(d.endedEarly(), <-played)
		case <-kill.C:
			if err := d.killAndRestart(playing); err != nil {
				stop()
				return errors.Join(err, <-played)
			}
		case <-tick.C:
			v.show(playing)
		}
	}
}

// killAndRestart ends supstream run as a power cut would, in the middle of its work, and starts it again.
func (d *demo) killAndRestart(ctx context.Context) error {
	if _, err := d.meter.read(ctx); err != nil && ctx.Err() == nil {
		d.screen.line("  the numbers of process %d were not read before its end: %v", d.child.pid, err)
	}
	pid := d.child.pid
	d.child.kill()
	d.meter.restarted()
	d.kills++
	if err := d.start(); err != nil {
		return err
	}
	d.screen.line(" kill -9: supstream run was killed (process %d) and started again (process %d); the traffic goes on", pid, d.child.pid)
	return nil
}

// total sums what the player did.
func total(counts map[mirror.Pattern]mirror.Count) mirror.Count {
	var sum mirror.Count
	for _, c := range counts {
		sum.Transactions += c.Transactions
		sum.Rows += c.Rows
	}
	return sum
}

// sample is what the view saw at a moment.
type sample struct {
	at   time.Time
	rows int64 // changed by the player
	readings
}

// view is the line of numbers during the traffic.
type view struct {
	*demo
	player *mirror.Player
	begun  time.Time
	before sample
}

// viewHeader stands above the lines of numbers. Events and files count from the start of the demo, with the first load.
const viewHeader = " TIME   MIRROR ROWS/S   EVENTS/S      LAG    FILES       SIZE  HELD ROWS  KILLS"

func (v *view) show(ctx context.Context) {
	now := sample{at: time.Now(), rows: total(v.player.Counts()).Rows}
	r, err := v.meter.read(ctx)
	if ctx.Err() != nil {
		return
	}
	if err != nil { // it has just been started
		v.screen.update(fmt.Sprintf(" %s  %13s  %9s", clock(now.at.Sub(v.begun)), perSecond(float64(now.rows-v.before.rows), v.before, now), "starting"))
		return
	}
	now.readings = r
	v.screen.update(viewLine(now.at.Sub(v.begun), v.before, now, v.kills))
	v.before = now
}

// viewLine is the line of numbers between two samples.
func viewLine(spent time.Duration, before, now sample, kills int) string {
	lag := "-"
	if n := now.lagCount - before.lagCount; n > 0 {
		lag = fmt.Sprintf("%.2f s", (now.lagSum-before.lagSum)/n)
	}
	return fmt.Sprintf(" %s  %13s  %9s  %7s  %7s  %9s  %9s  %5d", clock(spent), perSecond(float64(now.rows-before.rows), before, now),
		perSecond(now.events-before.events, before, now), lag, thousands(int64(now.files)), mebibytes(now.fileBytes), thousands(int64(now.held)), kills)
}

func perSecond(n float64, before, now sample) string {
	return thousands(int64(max(0, n) / now.at.Sub(before.at).Seconds()))
}

// times counts for people.
func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// clock writes minutes and seconds.
func clock(d time.Duration) string {
	return fmt.Sprintf("%02d:%02d", int(d.Minutes()), int(d.Seconds())%60)
}

// lookAround says where things can be seen while the demo runs.
func (d *demo) lookAround() {
	d.screen.line("\nLook around, in another terminal:")
	program := invocation(d.command)
	d.screen.fact("files", "ls -R %s", d.place.show(demoOutbox))
	d.screen.fact("one file", "zstd -dc %s/*.F.ndjson.zst | head -n 3", d.place.show(demoOutbox+"/aarhus-bi/kommune-751/samtaler/v1"))
	d.screen.fact("check files", "%s verify %s", program, d.place.show(demoOutbox))
	d.screen.fact("access", "%s aftale show -c %s", program, d.place.show(demoConfig))
	d.screen.fact("metrics", "curl -s %s", d.meter.url)
}
