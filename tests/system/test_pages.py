"""The pages in a real browser, and what they refuse.

All tests look at one instance, one after the other; after one that failed the next gets a new one."""
import csv
import io
import json
import urllib.request

import pytest
from browser import open_browser
from conftest import Instance, wait_for
from dashboard import ask, cookie, get, link, post, stored, system
from selenium.webdriver.common.keys import Keys


@pytest.fixture(scope="module")
def one_browser():
    with open_browser() as one:
        yield one


class Running:
    """The instance of the whole file."""

    def __init__(self):
        self.one = None
        self.wrong = []

    def get(self):
        if not self.one:
            self.one = Instance(demonstrator=True)
            self.one.start()
            wait_for(lambda: int(self.one.call("demonstrator.v1.Store", "Status").get("stored", 0)) > 0,
                     "a result is stored")
        return self.one

    def end(self):
        if self.one:
            one, self.one = self.one, None
            self.wrong += one.close()


@pytest.fixture(scope="module")
def running():
    one = Running()
    yield one
    one.end()
    assert not one.wrong, "\n".join(one.wrong)


@pytest.fixture
def demonstrator(running, request):
    """The whole application at 5 %, whatever the test before left."""
    one = running.get()
    if wait_for(lambda: system(one), "the viewer answers")["productionRate"] != 5:
        wait_for(lambda: post(one, "/coordinator/utilisation", {"value": 5}, {"Cookie": cookie(one)})[0] == 204, "5 %")
    yield one
    reports = [getattr(request.node, f"report_{phase}", None) for phase in ("setup", "call")]
    if any(report is not None and report.failed for report in reports):
        with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
            one.show()
        running.end()


@pytest.fixture
def browser(one_browser, demonstrator):
    """The browser without a page and a session of the test before."""
    one_browser.forget()
    one_browser.console_errors()
    yield one_browser
    one_browser.open("about:blank")
    one_browser.console_errors()


def number(text):
    digits = "".join(c for c in text if c.isdigit() or c in ".")
    return float(digits) if digits else 0.0


def test_the_dashboard_shows_the_system_live_and_the_slider_steers_it(demonstrator, browser):
    browser.open(link(demonstrator))
    browser.wait("the dashboard", lambda: "dashboard.html" in browser.driver.current_url)
    browser.wait("a live stream", lambda: browser.text("status") == "live")
    browser.wait("one processor of one", lambda: browser.text("processors") == "1 / 1")
    browser.wait("one producer of one", lambda: browser.text("producers") == "1 / 1")
    browser.wait("results being stored", lambda: number(browser.text("stored-rate")) > 5)
    browser.wait("a latency", lambda: number(browser.text("latency").split("/")[0]) > 0)
    browser.wait("points in the queue's chart",
                 lambda: browser.run("return charts.queue.chart.data.datasets[0]?.data.length || 0") > 2)
    browser.move_slider("utilization", 50)
    browser.wait("the actual utilization follows", lambda: "50.0 %" in browser.text("actual"))
    browser.wait("more is stored", lambda: number(browser.text("stored-rate")) > 100)
    browser.wait("the event of it", lambda: "preferred utilization set to 50 %" in browser.text("events"))
    for replicas, note, closed in (({"requested": 3, "refused": ""}, "", False),
                                   ({"requested": 4, "refused": ""}, "4 is the maximum of the Application", True),
                                   ({"requested": 2, "refused": "<b>x"}, "What is declared is refused: <b>x", False)):
        shown = browser.run("showReplicas('producer', " + json.dumps({"running": 1, "maximum": 4, "scalable": True, **replicas}) +
                            "); const note = byId('producer-note'); return [note.textContent, note.hidden, byId('producer-more').disabled]")
        assert shown == [note, not note, closed]
    assert browser.console_errors() == []


def test_dashboard_and_provisioning_page_lead_to_each_other(demonstrator, browser):
    """By keyboard, on a narrow screen, under whatever name the browser knows the machine; and only while there is one."""
    provisioning = 8090 + demonstrator.number

    def link_shown(selector):
        return browser.find(selector).is_displayed() and browser.find(selector)

    def looked_again():  # as when the page comes to the front; by itself it does every ten seconds
        return browser.run("document.dispatchEvent(new Event('visibilitychange')); return true")

    browser.resize(400, 900)
    for host in ("127.0.0.1", "localhost"):
        browser.open(demonstrator.page.replace("127.0.0.1", host) + "/dashboard.html")
        browser.wait("the link to the provisioning page", lambda: looked_again() and link_shown("a[data-to=provisioning]"))
        assert browser.find("a[data-to=provisioning]").get_attribute("href") == f"http://{host}:{provisioning}/"
    browser.find("nav a[href='/report.html']").send_keys(Keys.TAB, Keys.ENTER)
    browser.wait("the provisioning page", lambda: browser.find("#login").is_displayed())
    browser.find("#name").send_keys("d")
    browser.find("#password").send_keys("f", Keys.ENTER)
    browser.wait("the link to the dashboard", lambda: link_shown("#dashboard-link"))
    assert browser.find("#dashboard-link").get_attribute("href") == f"http://localhost:{8080 + demonstrator.number}/dashboard.html"
    browser.wait("nothing is wider than the screen",
                 lambda: browser.run("return document.documentElement.scrollWidth <= window.innerWidth"))
    browser.find("nav a[href='#settings']").send_keys(Keys.TAB, Keys.ENTER)
    browser.wait("the dashboard", lambda: browser.text("status") == "live")
    browser.wait("the link once more", lambda: looked_again() and link_shown("a[data-to=provisioning]"))
    demonstrator.cli("scale", "inaetics-provisioning-controller", 0)
    browser.wait("no link, since there is nothing", lambda: looked_again() and not link_shown("a[data-to=provisioning]"))
    demonstrator.cli("scale", "inaetics-provisioning-controller", 1)
    browser.wait("the link is back", lambda: looked_again() and link_shown("a[data-to=provisioning]"))
    browser.resize(1280, 900)
    assert browser.console_errors() == []


def test_producers_and_processors_are_added_and_taken_away(demonstrator, browser):
    browser.open(link(demonstrator))
    for kind in ("producer", "processor"):
        browser.wait(f"one {kind}", lambda: browser.text(f"{kind}s") == "1 / 1")
        browser.wait(f"the {kind} button", lambda: browser.find(f"#{kind}-more").is_enabled())
        browser.click(f"#{kind}-more")
        browser.wait(f"two {kind}s", lambda: browser.text(f"{kind}s") == "2 / 2")
        browser.click(f"#{kind}-less")
        browser.wait(f"one {kind} again", lambda: browser.text(f"{kind}s") == "1 / 1")
    assert browser.console_errors() == []


def test_every_page_opens_without_an_error_narrow_and_wide_light_and_dark(demonstrator, browser):
    for width, dark in ((1280, False), (400, True)):
        browser.resize(width, 900)
        browser.set_dark(dark)
        for page in ("/", "/dashboard.html", "/statistics.html", "/report.html", "/login.html"):
            browser.open(demonstrator.page + page)
            browser.wait(f"{page} with a title", lambda: browser.all("header h1"))
            browser.wait(f"{page} no wider than {width} px",
                         lambda: browser.run("return document.documentElement.scrollWidth <= window.innerWidth"))
        assert browser.console_errors() == []
    browser.resize(1280, 900)
    browser.set_dark(False)


def test_charts_have_round_times_evenly_spaced(demonstrator, browser):
    browser.open(demonstrator.page + "/dashboard.html")

    def ticks():
        return browser.run("""return [...document.querySelectorAll("canvas")].map((one) => Chart.getChart(one)).filter(Boolean)
            .map((one) => one.scales.x.ticks.map((tick) => tick.value))""")
    browser.wait("times below a chart", lambda: any(len(one) > 2 for one in ticks()))
    for times in ticks():
        steps = {later - earlier for earlier, later in zip(times, times[1:])}
        assert len(steps) <= 1 and all(step % 1000 == 0 for step in steps) and all(time % 1000 == 0 for time in times)


def test_all_statistics_has_a_chart_for_every_part(demonstrator, browser):
    browser.open(demonstrator.page + "/statistics.html")
    for what in ("queue", "data store", "producer", "processor"):
        browser.wait(f"a chart of the {what}",
                     lambda: any(what in title.text.lower() for title in browser.all("#charts h2")))
    assert browser.console_errors() == []


def test_the_report_shows_aggregates_rows_and_exports(demonstrator, browser):
    wait_for(lambda: stored(demonstrator) > 60, "more than a page of results")
    browser.open(demonstrator.page + "/report.html")
    browser.wait("a count", lambda: number(browser.text("count")) > 50)
    browser.wait("rows", lambda: len(browser.all("#results tr")) == 50)
    browser.click("#more")
    browser.wait("more rows", lambda: len(browser.all("#results tr")) > 50)
    browser.wait("whose they are", lambda: browser.find("#results tr").text.startswith("inaetics-producer"))
    assert browser.console_errors() == []
    _, text = get(demonstrator, "/report/results.csv")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) > 60
    for one in rows:
        assert float(one["result"]) == pytest.approx(float(one["value1"]) + float(one["value2"]))
    _, lines = get(demonstrator, "/report/results.ndjson")
    assert {"producer", "sequence", "result"} <= set(json.loads(lines.splitlines()[0]))


def test_the_stream_resumes_when_the_viewer_was_killed(demonstrator, browser):
    browser.open(demonstrator.page + "/dashboard.html")
    browser.wait("a live stream", lambda: browser.text("status") == "live")
    browser.run("window.stillHere = true")
    demonstrator.cli("kill", demonstrator.part("viewer"))
    browser.wait("the break is shown", lambda: "lost" in browser.text("status"))
    browser.wait("live again", lambda: browser.text("status") == "live")
    browser.wait("the history is there at once",
                 lambda: browser.run("return charts.queue.chart.data.datasets[0]?.data.length || 0") > 2)


def test_changes_need_a_session_looking_does_not(demonstrator):
    assert get(demonstrator, "/coordinator/systemStats")[0] == 200
    status, text = post(demonstrator, "/coordinator/utilisation", {"value": 50})
    assert status == 401 and "inaetics link" in text
    assert post(demonstrator, "/coordinator/utilisation", {"value": 50}, {"Cookie": cookie(demonstrator)})[0] == 204
    wait_for(lambda: json.loads(get(demonstrator, "/coordinator/systemStats")[1])["productionRate"] == 50, "the new rate")


def test_foreign_hosts_origins_and_forged_sessions_are_refused(demonstrator):
    session = cookie(demonstrator)
    host = demonstrator.page.removeprefix("http://")
    fields = {"value": 60}
    for headers, word in (({"Host": "evil.example:80"}, "Host"), ({"Origin": "http://evil.example"}, "Origin"),
                          ({"Origin": "null"}, "Origin"), ({"Origin": f"http://{host}.evil.example"}, "Origin")):
        status, text = post(demonstrator, "/coordinator/utilisation", fields, {"Cookie": session, **headers})
        assert status == 403 and word in text, headers
    own = {"Cookie": session, "Origin": demonstrator.page}
    assert post(demonstrator, "/coordinator/utilisation", fields, own)[0] == 204
    forged = session[:-1] + ("0" if session[-1] != "0" else "1")
    assert post(demonstrator, "/coordinator/utilisation", fields, {"Cookie": forged})[0] == 401


def test_a_link_opens_one_session_only(demonstrator):
    once = link(demonstrator)
    assert urllib.request.urlopen(once, timeout=30).headers["Set-Cookie"]
    status, text = ask(urllib.request.Request(once))
    assert status == 403 and "opened before" in text
    status, text = ask(urllib.request.Request(once[:-2] + "00"))
    assert status == 403 and "inaetics link" in text


def test_the_original_endpoints_answer_as_they_did(demonstrator):
    session = {"Cookie": cookie(demonstrator)}
    assert set(json.loads(get(demonstrator, "/coordinator/systemStats")[1])) == {"productionRate", "processors", "producers"}
    assert json.loads(get(demonstrator, "/coordinator/utilisation")[1])["name"] == "Utilization"
    wait_for(lambda: "queue" in [one["name"] for one in json.loads(get(demonstrator, "/coordinator/statistics")[1])],
             "the queue's statistics")
    one = json.loads(get(demonstrator, "/coordinator/statistics?queue")[1])
    assert [each["name"] for each in one] == ["queue"]
    assert set(one[0]) == {"name", "displayName", "type", "unit", "timestamps", "values"}
    assert len(one[0]["timestamps"]) <= 24
    assert get(demonstrator, "/coordinator/nothing") == (404, "{}")
    for value in ("", "abc", "101", "-1", "nan"):
        assert post(demonstrator, "/coordinator/utilisation", {"value": value}, session)[0] == 400, value
    assert post(demonstrator, "/coordinator/utilisation", {}, session)[0] == 400
    wait_for(lambda: post(demonstrator, "/coordinator/scaleProducer", {"value": 0}, session)[0] == 204, "the coordinator")
    status, text = post(demonstrator, "/coordinator/scaleProducer", {"value": 99}, session)
    assert status == 400 and " requested, 0 to 4 are allowed" in text


def test_no_path_leads_out_of_the_pages(demonstrator):
    for path in ("/../../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/www/../../x", "/.hidden", "/lib/../secret",
                 "/lib/%2e%2e/%2e%2e/passwd"):
        assert get(demonstrator, path)[0] in (400, 404), path


# -- the cluster


def act(browser, action, name, say="accept"):
    """Presses a button of the cluster view and answers what it asks; returns the question."""
    for _ in range(6):  # a button that moves while it is pressed was not pressed
        browser.click(f"button[data-action={action}][aria-label='{action} {name}']")
        question = browser.alert()
        if question:
            break
    assert question, f"{action} {name} asked nothing"
    text = question.text
    getattr(question, say)()
    return text


def state_of(browser, node):
    return browser.run("return document.querySelector(`[data-node=${arguments[0]}] .badge`)?.textContent", node)


def pods_on(browser, node):
    return browser.run("return [...document.querySelectorAll(`[data-node=${arguments[0]}] [data-pod]`)]"
                       ".map((row) => row.dataset.pod)", node)


def test_the_cluster_view_shows_every_node_and_the_pods_on_it(demonstrator, browser):
    browser.open(demonstrator.page + "/dashboard.html")
    browser.wait("five nodes", lambda: [state_of(browser, f"node-{i}") for i in range(1, 6)] == ["ready"] * 5)
    browser.wait("every pod at its node", lambda: all(name in pods_on(browser, demonstrator.node_of(name))
                                                      for name in demonstrator.pods()))
    queue = demonstrator.part("queue")
    row = f"[data-pod={queue}]"
    browser.wait("its name", lambda: browser.find(row + " .name").text == "queue")
    browser.wait("its memory", lambda: number(browser.find(row + " .usage").text.split("cores,")[-1]) > 1)
    enabled = browser.run("return [...document.querySelectorAll('[data-action]')].map((one) => !one.disabled)")
    assert enabled and not any(enabled), "nothing can be changed without a session"
    assert browser.console_errors() == []


def test_faults_need_a_session(demonstrator):
    fields = {"action": "kill", "name": demonstrator.part("queue")}
    before = demonstrator.container(fields["name"])["restartCount"]
    status, text = post(demonstrator, "/cluster", fields)
    assert status == 401 and "inaetics link" in text
    assert demonstrator.container(fields["name"])["restartCount"] == before
    session = {"Cookie": cookie(demonstrator)}
    assert post(demonstrator, "/cluster", fields, {**session, "Origin": "http://evil.example"})[0] == 403
    explode = {"action": "explode", "name": "node-1"}
    wait_for(lambda: post(demonstrator, "/cluster", explode, session)[0] != 503, "the viewer knows the cluster")
    assert post(demonstrator, "/cluster", explode, session)[0] == 400
    assert post(demonstrator, "/cluster", {"action": "halt", "name": "node-9"}, session)[0] == 404


def test_a_pod_is_killed_by_its_button_once_that_was_confirmed(demonstrator, browser):
    browser.open(link(demonstrator))
    queue = demonstrator.part("queue")
    kill = f"[data-pod={queue}] [data-action=kill]"
    browser.wait("its button", lambda: browser.all(kill) and browser.find(kill).is_enabled())
    before = demonstrator.container(queue)["restartCount"]
    assert queue in act(browser, "kill", queue, say="dismiss")
    assert "End all processes" in act(browser, "kill", queue)
    browser.wait("its restart", lambda: f"{before + 1} restart" in browser.find(f"[data-pod={queue}] .usage").text)
    wait_for(lambda: demonstrator.container(queue)["restartCount"] == before + 1, "the API tells it, too")
    browser.wait("it is well again", lambda: "good" in browser.find(f"[data-pod={queue}]").get_attribute("class"))
    assert browser.console_errors() == []


def test_a_node_is_halted_and_started_by_buttons(demonstrator, browser):
    browser.open(link(demonstrator))
    store = demonstrator.part("store")
    node = demonstrator.node_of(store)
    halt = f"[data-node={node}] [data-action=halt]"
    browser.wait("its button", lambda: browser.all(halt) and browser.find(halt).is_enabled())
    assert f"Switch {node} off?" in act(browser, "halt", node)
    browser.wait("it is off", lambda: state_of(browser, node) == "halted")
    browser.wait("its pods are elsewhere", lambda: not pods_on(browser, node))
    wait_for(lambda: demonstrator.parts("store") not in ([], [store]), "another store")
    browser.wait("the events of it", lambda: "node-" in browser.text("events"))
    browser.wait("live again", lambda: browser.text("status") == "live")  # the viewer may have been there, too
    start = f"[data-node={node}] [data-action=start]"
    browser.wait("the other button", lambda: browser.find(start).is_displayed() and browser.find(start).is_enabled())
    browser.click(start)
    browser.wait("it is back", lambda: state_of(browser, node) == "ready")


def test_a_node_is_frozen_and_thawed_by_buttons(demonstrator, browser):
    browser.open(link(demonstrator))
    viewer = demonstrator.node_of(demonstrator.part("viewer"))
    node = next(f"node-{i}" for i in range(1, 6) if f"node-{i}" != viewer)
    freeze = f"[data-node={node}] [data-action=freeze]"
    browser.wait("its button", lambda: browser.all(freeze) and browser.find(freeze).is_enabled())
    assert "looks hung" in act(browser, "freeze", node)
    browser.wait("it is frozen", lambda: state_of(browser, node) == "frozen")
    thaw = f"[data-node={node}] [data-action=thaw]"
    browser.wait("the other button", lambda: browser.find(thaw).is_displayed() and browser.find(thaw).is_enabled())
    browser.click(thaw)
    browser.wait("it is back", lambda: state_of(browser, node) == "ready")
    assert browser.console_errors() == []


# -- the last one: its instance has no coordinator afterwards


def statistics_calls(url):
    """How often the queue's statistics were read, by its agent's metrics."""
    with urllib.request.urlopen(url + "/metrics", timeout=30) as answer:
        text = answer.read().decode()
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines()
               if line.startswith("inaetics_calls_total"))


def test_ten_browsers_cost_no_more_samplings_than_one(demonstrator):
    def calls_while_ticking(streams, ticks=3):
        begun = statistics_calls(url)
        seen = 0
        while seen < ticks:
            line = streams[0].readline()
            assert line, "the stream ended"
            seen += line.startswith(b"event: tick")
        return statistics_calls(url) - begun

    demonstrator.scale("producer", 0)  # no puts: what is left are the viewer's calls
    demonstrator.scale("processor", 0)
    wait_for(lambda: json.loads(get(demonstrator, "/coordinator/systemStats")[1])["processors"] == "0 / 0", "no processors")
    url = demonstrator.services("demonstrator.v1.Queue")[0]["url"]
    streams = [urllib.request.urlopen(demonstrator.page + "/events", timeout=60)]
    one = calls_while_ticking(streams)
    streams += [urllib.request.urlopen(demonstrator.page + "/events", timeout=60) for _ in range(9)]
    ten = calls_while_ticking(streams)
    for stream in streams:
        stream.close()
    assert one >= 2
    # It would be ten times as many; some more come while the metrics are read.
    assert ten <= 2 * one + 5, f"{one} calls with one browser, {ten} with ten"
