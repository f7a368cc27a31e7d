"""Words that reasons of failures have without naming anybody, though some are names as well.

A user called “Test User” or “Will Grant” would otherwise take “user” and “will” out of all reasons.
"""

ORDINARY_WORDS = frozenset(
    """
a about above accept accepted access account accounts action activated active add added address
admin administrator administrators after again agent all allowed already also an and another answer
any api app application approval approved are as asana ask assigned at attempt attribute auth
authority authorized automation available azure back backup bad base be because been before being
below best between billing blank block blocked body bot box branch break build bulk busy but by
calendar call can cannot cap card case center central change changed channel chars check clash
class client close closed cloud code common company complete completed conflict confluence connect
connection connector contact contract control copy core cost could count create created credential
credentials current customer data database datadog date day days de default delete deleted deletion
demo denied department deprovision der des desk detail dev device did different directory disabled
disk do does domain done down draft dropbox due duplicate during each edit editor either else email
empty enabled end ended engine entra error event every exceeded exception exchange exhausted exist
existing exists expected expired expires export external failed failing failure fair false field
fields figma file finance find first for forbidden force format found free from full gateway
general get github given global go good google grant granted group groups guest had hard has have
head help high hold holder home host hour hours how hubspot human id identity if ignored import in
inactive info input integration internal into invalid invite is issue it item items its jira job
join just keep key keys la last late lead left legacy legal less level license licensed licenses
light like limit line link linked list load local lock locked log login long lost low machine mail
mailbox main maintenance manager manual many map mark match matched max maximum may member members
merge message method microsoft migration min minutes miro missing mobile mode module monitor more
most move multiple must name names need needs network never new next no nobody node none not note
notice notion null number object of off office offline okta old on once one only open operation
operator or order org organization other out over own owned owner owners owns page paid park parse
part password path pending people per period permission permissions permitted phone place plan
platform please point policy pool port portal post power present price primary privilege profile
project protected provider provision provisioned proxy public pull push query queue quota rate
reached read readonly ready reason record refused region rejected remote remove removed rename
renew report request requested requests require required requires reserved reset resource response
restricted result retry returned right role roles room root rule run sales salesforce same sandbox
save schema scim scope seat seats second seconds secret section security see self send server
service services session set shared should sign sign-in site size slack so software source space
staff stale standard start started state status step still stop store string strong such support
suspended sync system table tableau tag task team teams temp temporary tenant test tester text than
that the their them then there they this through ticket tier time timed timeout timestamp to token
too tool total training transfer true try type unable unauthorized unavailable under unexpected
unique unit unknown unlicensed unsupported until update updated upon use used user username users
using valid value values van vault vendor verified version view viewer violation visitor von wait
waiting was way web webhook went were what when where which while who whose why will with within
without word work workday worker workflow workspace would write wrong year yes yet you your zendesk
zone zoom
""".split()
)
