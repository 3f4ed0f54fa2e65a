# Sums up the TAP of one suite, of busted or of cmocka (whose lines ctest prefixes with the program's number).
# Prints "PASSED FAILED SKIPPED"; the names of failed and the reasons of skipped tests go to the file in details.
# A stream that ended before its plan was fulfilled counts what is missing as failed.
{
  line = $0
  stream = ""
  if (match(line, /^[0-9]+: /)) {
    stream = substr(line, 1, RLENGTH)
    line = substr(line, RLENGTH + 1)
  }
}
line ~ /^1\.\.[0-9]+$/ {
  plan[stream] += substr(line, 4)
  planned[stream] = 1
}
line ~ /^(not )?ok [0-9]+ / {
  seen[stream]++
  failing = 0
  if (line ~ /^(not )?ok [0-9]+ (- )?# SKIP/) {
    skipped++
    sub(/^(not )?ok [0-9]+ (- )?# SKIP /, "", line)
    print "  skipped: " line >details
  } else if (line ~ /^ok/) {
    passed++
  } else {
    failed++
    failing = 1
    print "  " line >details
  }
  next
}
failing && line ~ /^# / { print "  " line >details }
line !~ /^# / { failing = 0 }
END {
  for (stream in seen) {
    missing = planned[stream] ? plan[stream] - seen[stream] : 1
    if (missing > 0) {
      failed += missing
      print "  " stream "ended early: " missing " test" (missing > 1 ? "s" : "") " or more did not run" >details
    }
  }
  for (stream in plan) {
    if (!(stream in seen) && plan[stream] > 0) {
      failed += plan[stream]
      print "  " stream "ended early: none of " plan[stream] " tests ran" >details
    }
  }
  print passed + 0, failed + 0, skipped + 0
}
